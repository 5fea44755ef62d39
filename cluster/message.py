"""A request as TorchServe's frontend hands it to a worker, and what the worker makes of it for the handler.

The ingress stands for the frontend, the replica for the worker (ts/protocol/otf_message_handler.py and ts/service.py of
TorchServe 0.12). JSON is parsed in the replica: objects nested as deep as JSON allows cannot be pickled.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Parameter(NamedTuple):
    """One input: the body, a field or file of a form, or an entry of gRPC's map."""

    name: str
    content_type: str
    """As the client spelled it; "" for a text field and over gRPC."""
    value: bytes


def read_message(
    parameters: Sequence[Parameter], headers: Mapping[str, str], *, repeated_key: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the inputs by name, and the headers with a description of each input among them, as the handler expects.

    Of inputs with the same name the last counts, and their names stand under `repeated_key` (handlers/api/inputs.py).
    """
    item: dict[str, Any] = {}
    described: dict[str, Any] = {}
    for parameter in parameters:
        item[parameter.name] = _decode(parameter)
        described[parameter.name] = {"content-type": parameter.content_type}
    described.update(headers)
    if len(item) < len(parameters):
        counts = Counter(parameter.name for parameter in parameters)
        described[repeated_key] = [name for name, count in counts.items() if count > 1]
    return item, described


def _decode(parameter: Parameter) -> Any:
    """Return the value as TorchServe's worker decodes it: JSON and text if it can, else the bytes."""
    try:
        if parameter.content_type == "application/json":
            return json.loads(parameter.value.decode("utf-8"))
        if parameter.content_type.startswith("text"):
            return parameter.value.decode("utf-8")
    except (ValueError, RecursionError):
        pass
    return bytearray(parameter.value)
