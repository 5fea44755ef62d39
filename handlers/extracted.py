"""An archive as TorchServe extracted it: a folder with a model card and the files it describes."""

from dataclasses import dataclass
from pathlib import Path

from handlers.contract import (
    FLOAT32_PROBES_FILE,
    MODEL_CARD_FILE,
    PROBES_FILE,
    UNKNOWN_FILE,
    WEIGHTS_FILE,
    ArchiveFormatError,
    ProbeSet,
    read_probes,
)
from handlers.errors import ModelCardError, ProbeError
from handlers.model_card import ArchivePrecision, ModelCard


@dataclass(frozen=True, kw_only=True)
class ExtractedArchive:
    folder: Path
    card: ModelCard
    probes: ProbeSet
    """What model.onnx answers."""
    float32_probes: ProbeSet
    """What weights.safetensors answers; the same unless model.onnx is quantised."""

    def probes_of(self, precision: ArchivePrecision) -> ProbeSet:
        """Return what an engine of this precision must answer."""
        return self.float32_probes if precision == "float32" else self.probes

    @property
    def has_unknown_score(self) -> bool:
        """False in an archive of an earlier version, or of a run evaluated without its train photos."""
        return bool(self.card.unknown)

    @property
    def unknown_path(self) -> Path:
        return self.folder / UNKNOWN_FILE

    @property
    def weights_path(self) -> Path:
        return self.folder / WEIGHTS_FILE


def open_extracted(folder: Path) -> ExtractedArchive:
    """Return the extracted archive, its model card and probes read.

    Raises:
        ModelCardError: the model card is missing or invalid.
        ProbeError: the probes are missing or invalid.
    """
    try:
        text = (folder / MODEL_CARD_FILE).read_bytes()
    except OSError:
        raise ModelCardError(f"the archive has no {MODEL_CARD_FILE}. Export it again.") from None
    card = ModelCard.from_json(text)
    probes = float32_probes = _read_probes(folder, PROBES_FILE, class_count=card.class_count)
    if card.precision != "float32":
        float32_probes = _read_probes(folder, FLOAT32_PROBES_FILE, class_count=card.class_count)
    return ExtractedArchive(
        folder=folder,
        card=card,
        probes=probes,
        float32_probes=float32_probes,
    )


def _read_probes(folder: Path, file: str, *, class_count: int) -> ProbeSet:
    try:
        return read_probes(lambda name: (folder / name).read_bytes(), file, class_count=class_count)
    except OSError as error:
        raise ProbeError(
            f"{file} or one of its photos cannot be read: {error}. Export the archive again."
        ) from None
    except ArchiveFormatError as error:
        raise ProbeError(f"{error}. Export the archive again.") from None
