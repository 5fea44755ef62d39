"""A TorchServe in memory, behind the project's own client: versions, a default, and answers to the probes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from serving.archive.reader import Archive
from serving.client import Client
from serving.client.management import LoadedVersion
from serving.client.transport import Request
from serving.errors import NotFoundError, RequestError
from serving.rollout.session import ServerSession
from serving.settings import ServerSettings

MODEL = "tiny"


def quiet(_: str) -> None:
    """Report nothing."""


@dataclass
class FakeTorchServe:
    """Both a management API and a transport; `calls` lists what changed it."""

    archives: Mapping[str, Archive]
    """By version: its model, its classes, and what its probes promise."""
    loaded: set[str] = field(default_factory=lambda: {"1.0"})
    default: str = "1.0"
    faults: dict[str, BaseException] = field(default_factory=dict)
    """What a management call raises, by its name, or a prediction, as `predict VERSION`."""
    wrong: set[str] = field(default_factory=set)
    """Versions that answer their probes wrongly; `default` is whichever is asked for without a number."""
    ready_workers: int = 1
    calls: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=lambda: [""])
    """The metrics page at each look; the last one stays."""
    requests: list[Request] = field(default_factory=list)

    def _change(self, name: str) -> None:
        self.calls.append(name)
        if name in self.faults:
            raise self.faults[name]

    def models(self) -> list[str]:
        return [MODEL] if self.loaded else []

    def versions(self, model: str) -> dict[str, LoadedVersion]:
        pids = tuple(range(1, self.ready_workers + 1))
        return {
            version: LoadedVersion(
                version=version, min_workers=1, ready_pids=pids, pending_requests=0
            )
            for version in sorted(self.loaded)
        }

    def default_version(self, model: str) -> str:
        return self.default

    def register(self, archive_name: str, *, workers: int) -> None:
        self._change("register")
        self.loaded.add(archive_name.removeprefix(f"{MODEL}-").removesuffix(".mar"))

    def set_default(self, model: str, version: str) -> None:
        self._change("set_default")
        self.default = version

    def unregister(self, model: str, version: str) -> None:
        self._change("unregister")
        self.loaded.discard(version)

    def send(self, request: Request, *, timeout_s: float) -> bytes:
        self.requests.append(request)
        version = request.version or self.default
        error = self.faults.get(f"predict {version}")
        if error is not None:
            raise error
        if version not in self.loaded:
            raise NotFoundError(f"no version {version}", status=404)
        return self._answer(version, request.photos[0], is_wrong=self._is_wrong(request, version))

    def _is_wrong(self, request: Request, version: str) -> bool:
        return version in self.wrong or (request.version is None and "default" in self.wrong)

    def _answer(self, version: str, photo: bytes, *, is_wrong: bool) -> bytes:
        archive = self.archives[version]
        promised = {probe.data: probe.probabilities for probe in archive.probes}
        row = promised.get(photo, archive.probes[0].probabilities)
        row = row[::-1] if is_wrong else row
        scores = [
            {"label": label, "index": index, "probability": probability}
            for index, (label, probability) in enumerate(zip(archive.class_names, row, strict=True))
        ]
        scores.sort(key=lambda score: -score["probability"])
        return json.dumps(
            {"model": {"name": MODEL, "version": version}, "predictions": scores}
        ).encode()

    def close(self) -> None:
        pass

    def session(self, settings: ServerSettings) -> "FakeSession":
        return FakeSession(settings, self)


class FakeSession(ServerSession):
    """A session whose clients reach the fake, over either transport."""

    def __init__(self, settings: ServerSettings, server: FakeTorchServe) -> None:
        http, grpc = (Client(server, connect_management=lambda: server) for _ in range(2))
        super().__init__(settings, http=http, grpc=grpc)
        self._server = server

    def read_metrics(self) -> str:
        if isinstance(error := self._server.faults.get("metrics"), RequestError):
            raise error
        pages = self._server.metrics
        return pages.pop(0) if len(pages) > 1 else pages[0]
