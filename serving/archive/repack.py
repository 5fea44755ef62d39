"""Reads and replaces an archive's settings, model-config.yaml, without unpacking its other files."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from handlers.contract import MANIFEST_FILE, MODEL_CARD_FILE, MODEL_CONFIG_FILE
from serving.archive.reader import Archive, open_packed, read_archive, read_manifest
from serving.errors import ArchiveError
from storage import atomic_path


def read_model_config(path: Path) -> dict[str, Any]:
    """Return the settings an archive carries; empty if it carries none.

    Raises:
        ArchiveError: not an archive, or its settings are not a mapping.
    """
    with open_packed(path) as packed:
        if MODEL_CONFIG_FILE not in packed.namelist():
            return {}
        try:
            config = yaml.safe_load(packed.read(MODEL_CONFIG_FILE)) or {}
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())[:200]
            raise ArchiveError(
                f"the {MODEL_CONFIG_FILE} in {path} is not YAML: {reason}."
            ) from None
    if not isinstance(config, dict):
        raise ArchiveError(
            f"the {MODEL_CONFIG_FILE} in {path} is not a mapping of settings; export the archive again."
        )
    return config


def repack(
    archive: Archive, model_config: Mapping[str, Any], target: Path, *, version: str | None = None
) -> Archive:
    """Write a copy of the archive with these settings, and with another version if given; return the copy.

    Raises:
        ArchiveError: the archive cannot be read, or the copy cannot be written.
    """
    with open_packed(archive.path) as packed:
        replaced = _replaced_members(packed, model_config, version or archive.version)
        try:
            with atomic_path(target) as temporary:
                _write_copy(packed, replaced, temporary)
        except OSError as error:
            raise ArchiveError(f"{target} cannot be written: {error.strerror or error}.") from None
    return read_archive(target)


def to_yaml(model_config: Mapping[str, Any]) -> str:
    """Return the settings as the text of a model-config.yaml."""
    return yaml.safe_dump(dict(model_config), sort_keys=False)


def _write_copy(packed: zipfile.ZipFile, replaced: Mapping[str, str], target: Path) -> None:
    with zipfile.ZipFile(target, "w") as copy:
        for member in packed.infolist():
            new_data = replaced.get(member.filename)
            copy.writestr(member, packed.read(member) if new_data is None else new_data)
        for name, data in replaced.items():
            if name not in packed.namelist():
                copy.writestr(name, data)


def _replaced_members(
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
