"""The process that classifies, with the code that the archive brings: `python -P worker.py DESCRIPTOR`.

The descriptor is a `multiprocessing` connection. The first message is a dict of what to load; the answer is None, or
the text and exit code of why it cannot be loaded. Each further message is a list of photos, answered by a list of
replies in their order. The process ends when the other end of the connection closes, however that happened.

Only the standard library is imported at the top: `handlers` must be the archive's, not this installation's.
"""

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypedDict

# Enough to hide the latency of an object store behind the photos that are being computed.
READERS = 8


class Load(TypedDict):
    folder: str
    """Of the extracted archive."""
    model_config: dict[str, Any]
    gpu_id: int | None
    top_k: int
    stores: list[str | None]
    """Of each source the URI of its object store, None for one on this machine's disks."""
    is_quiet: bool
    """Whether another worker on this machine has said already what is worth knowing about the archive."""


class Photo(TypedDict):
    name: str
    """Its path, or the address of an object."""
    source: int
    data: bytes | None
    """Its bytes, where they came by standard input."""
    explain: bool


# Status and body as the handler answers them, and the PNG of the explanation; or why the photo could not be read.
Reply = tuple[int, bytes, bytes | None] | OSError


def main() -> None:
    # Ctrl-C reaches the whole process group; the parent decides, and closes the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    try:
        _serve(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _serve(connection: Connection) -> None:
    load: Load = connection.recv()
    sys.path.insert(0, load["folder"])
    # Pillow warns about odd but readable files.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.disable(logging.WARNING if load["is_quiet"] else logging.NOTSET)
    try:
        loaded = _Loaded(load)
    except Exception as error:
        connection.send((str(error) or repr(error), getattr(error, "exit_code", 1)))
        return
    logging.disable(logging.NOTSET)
    connection.send(None)
    while True:
        connection.send(loaded.classify(connection.recv()))


class _Loaded:
    """The archive's classifier, and the object stores that its photos are read from."""

    def __init__(self, load: Load) -> None:
        """Load the archive and replay its probes. Raises HandlerError."""
        from handlers.api.responses import ResponseWriter
        from handlers.classifier import load_classifier
        from handlers.errors import RequestRejectedError
        from handlers.settings import HandlerSettings

        self._rejected = RequestRejectedError
        self._classifier = load_classifier(
            Path(load["folder"]),
            model_config=load["model_config"],
            gpu_id=load["gpu_id"],
            metric_cache=None,
        )
        self._limits = HandlerSettings.from_model_config(load["model_config"]).limits
        self._writer = ResponseWriter(self._classifier.archive.card)
        self._is_gpu = load["gpu_id"] is not None
        self._top_k = {"x-top-k": str(load["top_k"])}
        self._stores = [None if uri is None else _open_store(uri) for uri in load["stores"]]
        self._readers = ThreadPoolExecutor(READERS)

    def classify(self, photos: list[Photo]) -> list[Reply]:
        """Return a reply per photo, in their order."""
        contents = list(self._readers.map(self._read, photos))
        whole = [content for content in contents if isinstance(content, bytes)]
        answers = iter(self._answer(whole))
        return [
            self._explained(photo, content, next(answers))
            if isinstance(content, bytes)
            else content
            for photo, content in zip(photos, contents, strict=True)
        ]

    def _answer(self, photos: list[bytes]) -> list[tuple[int, bytes]]:
        if self._is_gpu:
            return self._respond(photos, self._top_k) if photos else []
        # As the server on a CPU: several at once save nothing, and one alone gets the same bits whatever is beside it.
        return [self._respond([photo], self._top_k)[0] for photo in photos]

    def _explained(self, photo: Photo, data: bytes, answer: tuple[int, bytes]) -> Reply:
        status, body = answer
        if not photo["explain"] or status != HTTPStatus.OK:
            return status, body, None
        label = json.loads(body)["predictions"][0]["label"]
        wanted = {"explain": "True", "accept": "image/png", "x-explain-class": label}
        status, explanation = self._respond([data], wanted)[0]
        # Its error takes the place of the answer, as it does for a client that asks for both.
        return (
            (status, body, explanation) if status == HTTPStatus.OK else (status, explanation, None)
        )

    def _respond(self, photos: list[bytes], headers: dict[str, str]) -> list[tuple[int, bytes]]:
        """Return statuses and bodies for photos that come as TorchServe passes on a client's requests over HTTP."""
        fixed = {"host": "localhost", "url_path": "/predictions", "x-headswap-capture": "no"}
        typed = {"content-type": "application/octet-stream"}
        requests: list[Mapping[str, Any]] = [
            fixed | typed | {"content-length": str(len(each))} | headers for each in photos
        ]
        items: list[Mapping[str, Any]] = [{"body": each} for each in photos]
        responses = self._classifier.respond(items, requests)
        return [(response.status, response.body) for response in responses]

    def _read(self, photo: Photo) -> bytes | Reply:
        try:
            return self._read_within_limits(photo)
        except self._rejected as error:
            rejection = self._writer.rejection(error)
            return rejection.status, rejection.body, None
        except OSError as error:
            return error
        except Exception as error:
            # pyarrow has exceptions of its own.
            return OSError(f"{photo['name']} cannot be read: {error}")

    def _read_within_limits(self, photo: Photo) -> bytes:
        if photo["data"] is not None:
            return photo["data"]
        store = self._stores[photo["source"]]
        # A file may be larger than the memory: none is read whose size alone rejects it.
        self._limits.check_bytes(_size_bytes(photo["name"], store))
        return _read(photo["name"], store, self._limits.max_bytes + 1)


def _open_store(uri: str) -> Any:
    from pyarrow.fs import FileSystem

    return FileSystem.from_uri(uri)[0]


def _size_bytes(name: str, store: Any) -> int:
    if store is None:
        return os.stat(name).st_size
    return store.get_file_info(name.split("://", 1)[1]).size or 0


def _read(name: str, store: Any, limit_bytes: int) -> bytes:
    if store is None:
        with open(name, "rb") as file:
            return file.read(limit_bytes)
    with store.open_input_stream(name.split("://", 1)[1]) as stream:
        return bytes(stream.read(limit_bytes))


if __name__ == "__main__":
    main()
