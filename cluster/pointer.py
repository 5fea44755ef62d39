"""The pointer: which version of each model answers, and which share of the requests a candidate gets."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

_SHA256_PREFIX_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class ModelPointer:
    """The versions of one model."""

    live: str
    """The version that answers requests which name none."""
    loaded: tuple[str, ...]
    """Every version that answers requests which name it; `live` and `candidate` are among them."""
    candidate: str | None = None
    """A version that gets a share of the requests which name none."""
    percent: float = 0.0
    """That share, 0..100."""

    def choose(self, correlation_id: str) -> str:
        """Return the version that answers a request which names none; the same one for the same id."""
        if self.candidate is None or share_of(self.candidate, correlation_id) >= self.percent:
            return self.live
        return self.candidate

    def with_loaded(self, version: str) -> "ModelPointer":
        return replace(self, loaded=tuple(dict.fromkeys((*self.loaded, version))))

    def without(self, version: str) -> "ModelPointer":
        """Return the pointer once the version, which is not live, no longer answers."""
        kept = tuple(each for each in self.loaded if each != version)
        pointer = replace(self, loaded=kept)
        return pointer.without_candidate() if version == self.candidate else pointer

    def without_candidate(self) -> "ModelPointer":
        return replace(self, candidate=None, percent=0.0)


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What every router routes by. Each change has a revision of its own, one above the one before."""

    revision: int = 0
    models: Mapping[str, ModelPointer] = field(default_factory=dict)

    def with_model(self, name: str, model: ModelPointer | None) -> "Pointer":
        """Return the next revision, in which the model is as given; None: it is gone."""
        models = {each: pointer for each, pointer in self.models.items() if each != name}
        if model is not None:
            models[name] = model
        return Pointer(revision=self.revision + 1, models=models)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Pointer":
        models = {
            name: ModelPointer(**{**fields, "loaded": tuple(fields["loaded"])})
            for name, fields in content["models"].items()
        }
        return cls(revision=content["revision"], models=models)


def share_of(candidate: str, correlation_id: str) -> float:
    """Return where the id lies among all, 0 <= share < 100, evenly spread.

    It depends on the candidate too, so that the clients that try one are not those that try the next.
    """
    digest = hashlib.sha256(f"{candidate}\n{correlation_id}".encode()).digest()
    number = int.from_bytes(digest[:_SHA256_PREFIX_BYTES], "big")
    return min(100.0 * number / (1 << 8 * _SHA256_PREFIX_BYTES), 99.999999)
