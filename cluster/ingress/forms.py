"""Multipart forms taken apart in memory, by the parser that Starlette uses: its own form would go through files."""

import re
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from cluster import defaults
from cluster.message import Parameter

# Netty's default for a file without a type of its own.
FILE_TYPE = "application/octet-stream"
# As browsers and urllib3 write them (WHATWG, multipart/form-data encoding algorithm): a backslash is a letter like any
# other, and a quote within a value is %22. A curl older than 7.81 writes it as \", hence the look at what follows.
_OPTION = re.compile(
    rb';\s*([!#-\'*+.0-9A-Z^-z|~-]+)\s*=\s*(?:"(.*?)"\s*(?=;|$)|([^;"]*))', re.DOTALL
)


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
        options = read_options(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise FormParserError("a part has no name")
        # The second is how urllib3 wrote names beyond ASCII before version 2.
        is_file = not options.keys().isdisjoint((b"filename", b"filename*"))
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


def read_options(disposition: bytes) -> dict[bytes, bytes]:
    """Return the options of a part's Content-Disposition by lower-case name; the last of a name remains."""
    return {
        match[1].lower(): match[3].strip() if match[2] is None else match[2]
        for match in _OPTION.finditer(disposition)
    }
