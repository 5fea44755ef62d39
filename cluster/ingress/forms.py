"""Multipart forms taken apart in memory, by the parser that Starlette uses: its own form would go through files."""

from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from cluster import defaults
from cluster.message import Parameter

# Netty's default for a file without a type of its own.
FILE_TYPE = "application/octet-stream"


def read_multipart(body: bytes, boundary: bytes) -> list[Parameter]:
    """Return the fields and files in the form's order; none of a form that is malformed or has no end.

    Half a photo must not be classified as if it were whole, nor one of two as if it were all.
    """
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        return []
    return form.parameters if form.is_complete else []


class _Form:
    def __init__(self) -> None:
        self.parameters: list[Parameter] = []
        self.is_complete = False
        self._header = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._data = bytearray()

    def callbacks(self) -> Any:
        """Return the parser's callbacks, which are all methods named on_*."""
        return {name: getattr(self, name) for name in dir(self) if name.startswith("on_")}

    def on_part_begin(self) -> None:
        if len(self.parameters) >= defaults.FORM_PARTS_MAX:
            raise FormParserError(f"a form may have at most {defaults.FORM_PARTS_MAX} parts")
        self._headers, self._data = {}, bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise FormParserError("a part has no name")
        is_file = b"filename" in options
        kind = self._headers.get(b"content-type", b"").decode("latin-1") if is_file else ""
        self.parameters.append(
            Parameter(
                options[b"name"].decode("utf-8", "replace"),
                (kind or FILE_TYPE) if is_file else "",
                bytes(self._data),
            )
        )

    def on_end(self) -> None:
        self.is_complete = True
