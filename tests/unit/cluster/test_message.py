"""A replica reads a request as TorchServe's worker does: both read the same message here."""

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cluster.message import Parameter, read_message
from handlers.entry import record_repeated_inputs

REPEATED = "headswap-repeated-inputs"
NAMES = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["body", "a", "b"])
TYPES = st.sampled_from(
    ["", "image/jpeg", "application/json", "application/json; charset=utf-8", "text/plain", "text"]
)
VALUES = st.binary(max_size=50) | st.sampled_from(
    [b'{"b64": "eA=="}', b"[1]", b"{", b"[" * 2000, b"\xff", "ä".encode()]
)
PARAMETERS = st.lists(st.builds(Parameter, NAMES, TYPES, VALUES), max_size=4)
HEADERS = st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=8), max_size=4)


class Connection:
    """Bytes in place of the worker's socket."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def recv(self, count: int) -> bytes:
        start = self._position
        self._position += count
        return self._data[start : self._position]


def packed(text: bytes) -> bytes:
    return struct.pack("!i", len(text)) + text


def read_by_torchserve(
    parameters: list[Parameter], headers: dict[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what TorchServe's own code makes of the message, in the bytes in which its frontend sends it."""
    from ts.protocol import otf_message_handler
    from ts.service import Service

    end = struct.pack("!i", -1)
    data = packed(b"id")
    for name, value in headers.items():
        data += packed(name.encode()) + packed(value.encode())
    data += end
    for parameter in parameters:
        data += packed(parameter.name.encode()) + packed(parameter.content_type.encode())
        data += packed(parameter.value)
    record_repeated_inputs()
    batch = otf_message_handler._retrieve_inference_msg(Connection(data + end + end))
    (processor,), (item,), _ = Service.retrieve_data_for_inference(batch)
    return item, processor.get_request_properties()


@given(PARAMETERS, HEADERS)
def test_a_replica_reads_what_torchserves_worker_reads(
    parameters: list[Parameter], headers: dict[str, str]
) -> None:
    expected = read_by_torchserve(parameters, headers)
    assert read_message(parameters, headers, repeated_key=REPEATED) == expected


def test_deep_json_stays_bytes() -> None:
    data = b"[" * 100_000
    item, _ = read_message([Parameter("body", "application/json", data)], {}, repeated_key="r")
    assert item["body"] == data
