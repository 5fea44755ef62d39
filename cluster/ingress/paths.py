"""Which model, version and task a path of TorchServe's inference API names."""

from typing import NamedTuple
from urllib.parse import unquote_to_bytes

KSERVE_V1_TASKS = {"predict": False, "explain": True}
KSERVE_V2_TASKS = {"infer": False, "explain": True}


class Target(NamedTuple):
    model: str
    version: str | None
    """None: the live one."""
    headers: dict[str, str]
    """What TorchServe adds to the request's headers for the handler."""


def read_path(raw_path: str) -> Target | None:
    """Return what a path asks for, None if it is not a path of predictions or explanations.

    `raw_path` is as it was sent, without the query; like TorchServe, this splits it after decoding, so that an encoded
    slash separates too.
    """
    segments = unquote_to_bytes(raw_path).decode("utf-8", "replace").split("/")
    if segments[0] or len(segments) < 3:
        return None
    api = segments[1]
    if api in ("predictions", "explanations"):
        return _own(segments, explains=api == "explanations")
    if api == "v1" and segments[2] == "models" and len(segments) == 4:
        return _kserve_v1(segments[3])
    if api == "v2" and segments[2] == "models" and len(segments) == 5:
        return _kserve(segments[3], KSERVE_V2_TASKS.get(segments[4]))
    return None


def _own(segments: list[str], *, explains: bool) -> Target | None:
    model, version = segments[2], segments[3] if len(segments) > 3 else ""
    if not model:
        return None
    headers = {"url_path": "/".join(segments[4:]), "explain": str(explains)}
    return Target(model=model, version=version or None, headers=headers)


def _kserve_v1(segment: str) -> Target | None:
    model, _, task = segment.partition(":")
    return _kserve(model, KSERVE_V1_TASKS.get(task))


def _kserve(model: str, explains: bool | None) -> Target | None:
    if explains is None or not model:
        return None
    # By the missing url_path the handler knows KServe's paths.
    return Target(model=model, version=None, headers={"explain": str(explains)})
