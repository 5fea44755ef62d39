"""The archive format's readers, and that they need nothing but the standard library."""

import json
import math
import subprocess
import sys

import pytest

from handlers import contract
from handlers.contract import (
    FLOAT32_PROBES_FILE,
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    PROBES_FILE,
    ArchiveFormatError,
    ModelIdentity,
    read_identity,
    read_manifest,
    read_probes,
)

MODEL = {"modelName": "tiny", "modelVersion": "1.0", "handler": "entry.py"}
CARD = {"name": "tiny", "version": "1.0", "class_names": ["cat", "dog"]}
PROBES = {"tolerance": 0.02, "probes": [{"file": "0.jpg", "probabilities": [0.75, 0.25]}]}


def reader_of(**files: object):
    """Return a `read` of a whole archive with some files replaced; bytes stay as they are."""
    contents: dict[str, object] = {
        MANIFEST_FILE: {"model": MODEL}, MODEL_CARD_FILE: CARD, PROBES_FILE: PROBES,
        "probes/0.jpg": b"a photo",
    } | files  # fmt: skip
    packed = {
        name: content if isinstance(content, bytes) else json.dumps(content).encode()
        for name, content in contents.items()
    }
    return packed.__getitem__


def test_importing_it_needs_the_standard_library_alone() -> None:
    """Neither the libraries of the handler nor another module of its package."""
    code = (
        "import sys; before = set(sys.modules); import handlers.contract; "
        "print(*sorted({name for name in set(sys.modules) - before "
        "if name.split('.')[0] not in sys.stdlib_module_names}))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert finished.stdout.split() == ["handlers", "handlers.contract"]


def test_an_archive_is_read() -> None:
    read = reader_of()
    assert read_identity(read) == ModelIdentity(
        name="tiny", version="1.0", class_names=("cat", "dog")
    )
    probes = read_probes(read, PROBES_FILE, class_count=2)
    assert probes.tolerance == 0.02
    (probe,) = probes.probes
    assert (probe.file, probe.data, probe.probabilities) == ("0.jpg", b"a photo", (0.75, 0.25))


def test_what_reading_raises_passes_through() -> None:
    with pytest.raises(KeyError):
        read_probes(reader_of(), FLOAT32_PROBES_FILE, class_count=2)


@pytest.mark.parametrize(
    "change",
    [
        {MANIFEST_FILE: b"not JSON"},
        {MANIFEST_FILE: []},
        {MANIFEST_FILE: {}},
        {MANIFEST_FILE: {"model": {"modelName": "tiny", "modelVersion": "1.0"}}},
        {MANIFEST_FILE: {"model": MODEL | {"configFile": "../model-config.yaml"}}},
        {MANIFEST_FILE: {"model": MODEL | {"modelVersion": "2.0"}}},
        {MODEL_CARD_FILE: b"[" * 100_000},
        {MODEL_CARD_FILE: CARD | {"name": None}},
        {MODEL_CARD_FILE: CARD | {"class_names": "cat"}},
        {MODEL_CARD_FILE: CARD | {"class_names": ["cat", "cat"]}},
        {MODEL_CARD_FILE: CARD | {"class_names": []}},
        {
            MANIFEST_FILE: {"model": MODEL | {"modelName": "a/b"}},
            MODEL_CARD_FILE: CARD | {"name": "a/b"},
        },
    ],
)
def test_a_broken_manifest_or_card_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArchiveFormatError):
        read_identity(reader_of(**change))


@pytest.mark.parametrize("tolerance", [0, 1, -0.1, math.nan, "wide", None, True, 10**400])
def test_a_tolerance_out_of_range_is_refused(tolerance: object) -> None:
    read = reader_of(**{PROBES_FILE: PROBES | {"tolerance": tolerance}})
    with pytest.raises(ArchiveFormatError, match=r"probes/probes\.json: tolerance"):
        read_probes(read, PROBES_FILE, class_count=2)


@pytest.mark.parametrize(
    "probe",
    [
        "0.jpg",
        {"file": "../0.jpg", "probabilities": [0.5, 0.5]},
        {"file": "..", "probabilities": [0.5, 0.5]},
        {"file": "", "probabilities": [0.5, 0.5]},
        {"probabilities": [0.5, 0.5]},
        {"file": "0.jpg", "probabilities": [1.0]},
        {"file": "0.jpg", "probabilities": [0.5, None]},
        {"file": "0.jpg", "probabilities": [0.5, math.inf]},
        {"file": "0.jpg"},
    ],
)
def test_a_broken_probe_is_refused(probe: object) -> None:
    read = reader_of(**{PROBES_FILE: PROBES | {"probes": [probe]}})
    with pytest.raises(ArchiveFormatError, match=r"probes/probes\.json"):
        read_probes(read, PROBES_FILE, class_count=2)


def test_a_handler_may_name_its_function() -> None:
    model = MODEL | {"handler": "entry.py:run"}
    assert read_manifest(reader_of(**{MANIFEST_FILE: {"model": model}}))["model"] == model


def test_the_acknowledgement_lies_beside_the_drain_marker() -> None:
    assert contract.drain_ack_file(7) == f"{contract.DRAIN_MARKER_FILE}.7"
