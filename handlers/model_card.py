"""The model card: what an archive says about itself, and all the handler needs to know to serve it."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib import metadata
from typing import Any, Literal, Self, get_args

from handlers.contract import MODEL_CARD_FILE, ArchiveFormatError, parse_class_names
from handlers.errors import ModelCardError, PreprocessingError
from handlers.images.preprocessing import PreprocessingSpec

ArchivePrecision = Literal["float32", "int8"]

# Those that determine pixels and probabilities.
LIBRARIES = (
    "torch",
    "torchvision",
    "onnxruntime",
    "MNN",
    "pillow",
    "simplejpeg",
    "pi-heif",
    "numpy",
)


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    name: str
    version: str
    architecture: str
    """The name of an EfficientNet-Lite or of a torchvision classifier."""
    class_names: tuple[str, ...]
    """In the order of the network's outputs."""
    preprocessing: PreprocessingSpec
    temperature: float
    """The logits are divided by it before the softmax (Guo et al., 2017)."""
    metrics: Mapping[str, Any]
    """Per split: accuracy, n and a 95 % interval, of the float32 network."""
    training_run: str
    data_fingerprint: str
    weights_sha256: str
    """Of weights.safetensors, in hexadecimal."""
    library_versions: Mapping[str, str]
    precision: ArchivePrecision
    """Of model.onnx; weights.safetensors is always float32."""
    quantisation: Mapping[str, Any]
    """What int8 costs against float32 on val photos, measured at export; empty with float32."""
    licence_note: str
    """Where the pretrained weights came from and on which terms."""
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """How the unknown score was fitted and how well it tells photos of other things; empty without one."""

    def __post_init__(self) -> None:
        for name in (
            "name", "version", "architecture", "training_run", "data_fingerprint", "weights_sha256",
            "licence_note",
        ):  # fmt: skip
            if not isinstance(getattr(self, name), str):
                raise _invalid(name, getattr(self, name), "text")
        for name in ("name", "version", "architecture"):
            if not getattr(self, name):
                raise _invalid(name, "", "text that is not empty")
        if self.precision not in get_args(ArchivePrecision):
            raise _invalid("precision", self.precision, " or ".join(get_args(ArchivePrecision)))
        for name in ("metrics", "library_versions", "quantisation", "unknown"):
            if not isinstance(getattr(self, name), Mapping):
                raise _invalid(name, getattr(self, name), "an object")
        object.__setattr__(self, "class_names", _check_class_names(self.class_names))
        if not _is_positive(self.temperature):
            raise _invalid("temperature", self.temperature, "a finite number above 0")

    @property
    def class_count(self) -> int:
        return len(self.class_names)

    def to_dict(self) -> dict[str, Any]:
        card = asdict(self)
        card["class_names"] = list(self.class_names)
        card["preprocessing"] = self.preprocessing.to_dict()
        return card

    def to_json(self) -> str:
        """Return the card as indented JSON with a final newline."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the card; unknown fields are ignored, because a card may be newer than its reader.

        Raises:
            ModelCardError: not JSON, a field is missing, or its value is not allowed.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ModelCardError(
                f"{MODEL_CARD_FILE} is not JSON: {error}. Export the archive again."
            ) from None
        if not isinstance(values, dict):
            raise ModelCardError(
                f"{MODEL_CARD_FILE} must hold a JSON object, not {type(values).__name__}."
            )
        # Fields with a default are those that cards of earlier versions lack.
        missing = [
            field.name
            for field in fields(cls)
            if field.name not in values and field.default_factory is MISSING
        ]
        if missing:
            raise ModelCardError(
                f"{MODEL_CARD_FILE} lacks {', '.join(missing)}. Export the archive again."
            )
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        known["preprocessing"] = _read_preprocessing(known["preprocessing"])
        return cls(**known)


def installed_versions() -> dict[str, str | None]:
    """Return the installed version of each of LIBRARIES, None where it is not installed."""
    versions: dict[str, str | None] = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = None
    return versions


def _read_preprocessing(values: Any) -> PreprocessingSpec:
    if not isinstance(values, Mapping):
        raise _invalid("preprocessing", values, "an object")
    try:
        return PreprocessingSpec.from_dict(values)
    except PreprocessingError as error:
        raise ModelCardError(f"{MODEL_CARD_FILE}: {error}") from None


def _check_class_names(names: Any) -> tuple[str, ...]:
    try:
        return parse_class_names(names)
    except ArchiveFormatError as error:
        raise ModelCardError(f"{error}.") from None


def _is_positive(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0


def _invalid(name: str, value: Any, allowed: str) -> ModelCardError:
    return ModelCardError(f"{MODEL_CARD_FILE}: {name} must be {allowed}, not {value!r:.200}.")
