"""An archive's settings, model-config.yaml, read and replaced without unpacking what it holds."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from handlers.contract import MANIFEST_FILE, MODEL_CARD_FILE, MODEL_CONFIG_FILE
from serving.archive.reader import Archive, open_packed, read_archive, read_manifest
from serving.errors import ArchiveError


def read_model_config(path: Path) -> dict[str, Any]:
    """Return the settings an archive carries; empty where it carries none.

    Raises:
        ArchiveError: no archive, or settings that are no mapping.
    """
    with open_packed(path) as packed:
        if MODEL_CONFIG_FILE not in packed.namelist():
            return {}
        try:
            config = yaml.safe_load(packed.read(MODEL_CONFIG_FILE)) or {}
        except yaml.YAMLError as error:
            raise ArchiveError(
                f"the {MODEL_CONFIG_FILE} in {path} is no YAML: {_line(error)}."
            ) from None
    if not isinstance(config, dict):
        raise ArchiveError(
            f"the {MODEL_CONFIG_FILE} in {path} is no mapping of settings; export it again."
        )
    return config


def repack(
    archive: Archive, model_config: Mapping[str, Any], target: Path, *, version: str | None = None
) -> Archive:
    """Write a copy of the archive that carries these settings, and another version where one is given; return it.

    Raises:
        ArchiveError: the archive has changed, or the copy could not be written.
    """
    beside = target.with_name(f".{target.name}.part")
    try:
        with open_packed(archive.path) as packed, zipfile.ZipFile(beside, "w") as copy:
            replaced = _replaced(packed, model_config, version or archive.version)
            for member in packed.infolist():
                data = replaced.pop(member.filename, None)
                copy.writestr(member, packed.read(member) if data is None else data)
            for name, data in replaced.items():
                copy.writestr(name, data)
        os.replace(beside, target)
    except OSError as error:
        raise ArchiveError(f"{target} cannot be written: {error.strerror or error}.") from None
    finally:
        beside.unlink(missing_ok=True)
    return read_archive(target)


def to_yaml(model_config: Mapping[str, Any]) -> str:
    """Return the settings as the text of a model-config.yaml."""
    return yaml.safe_dump(dict(model_config), sort_keys=False)


def _replaced(
    packed: zipfile.ZipFile, model_config: Mapping[str, Any], version: str
) -> dict[str, str]:
    manifest, card = read_manifest(packed), json.loads(packed.read(MODEL_CARD_FILE))
    manifest["model"] |= {"modelVersion": version, "configFile": MODEL_CONFIG_FILE}
    card["version"] = version
    return {
        MANIFEST_FILE: json.dumps(manifest, indent=2),
        MODEL_CARD_FILE: json.dumps(card, indent=2, ensure_ascii=False) + "\n",
        MODEL_CONFIG_FILE: to_yaml(model_config),
    }


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
