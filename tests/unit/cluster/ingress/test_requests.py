"""Bodies within their limit, and forms as their fields; hostile ones reject themselves and nothing else."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from urllib3.filepost import encode_multipart_formdata

from cluster.ingress.requests import BodyTooLargeError, read_body, read_headers, read_parameters
from cluster.message import Parameter

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=10
) | st.text('\\"; =a%', min_size=1, max_size=10)
PARTS = st.lists(
    st.tuples(NAMES, st.binary(max_size=200), st.sampled_from(["image/jpeg", "text/plain"])),
    min_size=1,
    max_size=4,
)


def form(parts: Iterable[tuple[str, bytes, str]]) -> tuple[bytes, str]:
    """Return the body and the content type of a form of files."""
    files: Any = [(name, (f"{name}.jpg", data, kind)) for name, data, kind in parts]
    return encode_multipart_formdata(files, boundary="zzz-boundary-zzz")


def request_of(chunks: list[bytes], **headers: str) -> tuple[Request, list[bytes]]:
    """Return a request whose body arrives in chunks, and the list of those not read yet."""
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw}, receive), left


def test_a_body_up_to_the_limit_is_read() -> None:
    request, left = request_of([b"ab", b"cd"])
    assert asyncio.run(read_body(request, 4)) == b"abcd"
    assert left == []


def test_a_declared_length_above_the_limit_is_rejected_unread() -> None:
    request, left = request_of([b"abcde"], content_length="5")
    with pytest.raises(BodyTooLargeError):
        asyncio.run(read_body(request, 4))
    assert left == [b"abcde"]


def test_a_body_without_a_length_is_read_no_further_than_the_limit() -> None:
    request, left = request_of([b"abc", b"de", b"f", b"g"])
    with pytest.raises(BodyTooLargeError):
        asyncio.run(read_body(request, 4))
    assert left == [b"f", b"g"]


def test_the_token_does_not_reach_the_replicas() -> None:
    raw = [(b"authorization", b"Bearer x"), (b"x-top-k", b"1"), (b"x-top-k", b"2")]
    assert read_headers(raw) == {"x-top-k": "2"}


@pytest.mark.parametrize("kind", ["", "image/jpeg", "application/json", "multipart/form-data"])
def test_what_is_not_a_form_is_one_input(kind: str) -> None:
    assert read_parameters(b"data", kind) == [Parameter("body", kind, b"data")]


@given(PARTS)
def test_a_form_comes_apart_as_it_was_put_together(parts: list[tuple[str, bytes, str]]) -> None:
    read = read_parameters(*form(parts))
    assert [(p.value, p.content_type) for p in read] == [(data, kind) for _, data, kind in parts]
    # urllib3 writes quotes in names as %22.
    assert [p.name for p in read] == [name.replace('"', "%22") for name, _, _ in parts]


@pytest.mark.parametrize(
    ("disposition", "name", "is_file"),
    [
        (rb'form-data; name="image"; filename="photo\"', "image", True),
        (rb'form-data; filename="photo\"; name="image"', "image", True),
        (rb'form-data; name="a\"; filename="x.jpg"', "a\\", True),
        (rb'form-data; name="a\"b"; filename="x.jpg"', 'a\\"b', True),
        (rb'form-data; name="a;b"; filename="x;y.jpg"', "a;b", True),
        (rb'form-data; name="a%22b"; filename=""', "a%22b", True),
        (rb"form-data; name=a ; filename=x.jpg", "a", True),
        (rb'Form-Data;NAME="a";FileName = "x.jpg"', "a", True),
        (rb"form-data; name=a; filename*=UTF-8''%e2%82%ac.jpg", "a", True),
        ('form-data; name="ä"; filename="猫.jpg"'.encode(), "ä", True),
        (rb'form-data; name="a"; name="b"', "b", False),
    ],
)
def test_names_are_read_as_browsers_write_them(
    disposition: bytes, name: str, is_file: bool
) -> None:
    body = b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\nx\r\n--b--\r\n"
    kind = "application/octet-stream" if is_file else ""
    assert read_parameters(body, "multipart/form-data; boundary=b") == [Parameter(name, kind, b"x")]


def test_a_header_of_nothing_but_quotes_takes_no_time() -> None:
    disposition = b"form-data" + b';a="' * 1000
    began = time.monotonic()
    read_parameters(
        b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\nx\r\n--b--\r\n",
        "multipart/form-data; boundary=b",
    )
    assert time.monotonic() - began < 2


def test_a_file_without_a_type_is_bytes_and_a_field_is_text() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nx\r\n'
        b'--b\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n1\r\n--b--\r\n'
    )
    assert read_parameters(body, "multipart/form-data; boundary=b") == [
        Parameter("a", "application/octet-stream", b"x"),
        Parameter("top_k", "", b"1"),
    ]


@given(PARTS, st.data())
def test_a_form_that_is_cut_off_gives_no_photo(
    parts: list[tuple[str, bytes, str]], data: st.DataObject
) -> None:
    """Half a photo, or one of two, must not be classified as if it were what the client sent."""
    body, kind = form(parts)
    end = body.rindex(b"--zzz-boundary-zzz--")
    assert read_parameters(body[: data.draw(st.integers(0, end))], kind) == []


@given(st.binary(max_size=400), st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_form_is_an_error(body: bytes, options: str) -> None:
    for kind in ("multipart/form-data; boundary=b;", "application/x-www-form-urlencoded;", ""):
        assert isinstance(read_parameters(body, kind + options), list)


@pytest.mark.parametrize("charset", ["rot13", "nothing", "idna", "utf-7", "\x00"])
def test_no_charset_is_an_error(charset: str) -> None:
    body, kind = form([("ä", b"x", "image/jpeg")])
    assert isinstance(read_parameters(body, f"{kind}; charset={charset}"), list)


def test_a_urlencoded_form_has_its_fields() -> None:
    read = read_parameters(
        b"a=b%20c&a=d&top_k=", "application/x-www-form-urlencoded; charset=utf-8"
    )
    assert read == [
        Parameter("a", "", b"b c"),
        Parameter("a", "", b"d"),
        Parameter("top_k", "", b""),
    ]
