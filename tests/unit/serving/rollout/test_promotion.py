"""A promotion against a server that fails at every step in turn: the old version serves, and the record says so."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from serving.archive.reader import read_archive
from serving.client.management import LoadedVersion
from serving.errors import (
    BusyError,
    InputError,
    InternalServerError,
    NotReadyError,
    PromotionError,
    RequestError,
    UnreachableError,
)
from serving.rollout import drain, journal, loading, promotion, retirement
from serving.rollout.gates import Gates
from serving.rollout.live_record import Deployment, entry_of, locked, read_record, write_record
from serving.rollout.promotion import PromotionOptions, promote, rollback
from serving.rollout.retirement import retire
from serving.settings import ServerSettings

Fault = tuple[str, RequestError]


@dataclass
class FakeServer:
    """TorchServe's management, with a fault in one of its verbs."""

    loaded: set[str] = field(default_factory=lambda: {"1.0"})
    default: str = "1.0"
    fault: Fault | None = None
    calls: list[str] = field(default_factory=list)

    def _do(self, verb: str) -> None:
        self.calls.append(verb)
        if self.fault is not None and self.fault[0] == verb:
            raise self.fault[1]

    def versions(self, model: str) -> dict[str, LoadedVersion]:
        return {
            version: LoadedVersion(
                version=version, min_workers=1, ready_pids=(1,), pending_requests=0
            )
            for version in sorted(self.loaded)
        }

    def default_version(self, model: str) -> str:
        return self.default

    def register(self, archive_name: str, *, workers: int) -> None:
        self._do("register")
        self.loaded.add(archive_name.removeprefix("tiny-").removesuffix(".mar"))

    def set_default(self, model: str, version: str) -> None:
        self._do("set_default")
        self.default = version

    def unregister(self, model: str, version: str) -> None:
        self._do("unregister")
        self.loaded.discard(version)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()

    @contextmanager
    def manage(_: ServerSettings) -> Iterator[FakeServer]:
        yield fake

    @contextmanager
    def drained(*_: Any, **__: Any) -> Iterator[bool]:
        fake.calls.append("drain")
        yield True

    for module in (promotion, retirement):
        monkeypatch.setattr(module, "manage", manage)
    monkeypatch.setattr(drain, "drain", drained)
    for name in ("check_workers", "check_gates"):
        monkeypatch.setattr(loading, name, lambda *_, **__: None)
    monkeypatch.setattr(loading, "check_probes", lambda *_, **__: 0.0)
    return fake


@pytest.fixture
def archives(archive_maker: Callable[..., Path]) -> dict[str, Path]:
    def make(version: str, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
        card = {"name": "tiny", "version": version, "class_names": classes}
        return archive_maker(
            f"tiny-{version}.mar",
            files={"model_card.json": json.dumps(card).encode()},
            model={"modelVersion": version},
        )

    return {"1.0": make("1.0"), "2.0": make("2.0"), "3.0": make("3.0", ("cat", "cow"))}


@pytest.fixture
def settings(
    settings_of: Callable[..., ServerSettings], archives: dict[str, Path]
) -> ServerSettings:
    made = settings_of()
    made.model_store.mkdir(parents=True, exist_ok=True)
    live = loading.install(read_archive(archives["1.0"]), made.model_store)
    write_record(made.model_store, {"tiny": Deployment(live=entry_of(live, why="test"))})
    return made


def quiet(_: str) -> None:
    pass


def live(settings: ServerSettings) -> str:
    return read_record(settings.model_store)["tiny"].live.version


def test_a_promotion_takes_its_steps_in_order(
    server: FakeServer, settings: ServerSettings, archives: dict[str, Path]
) -> None:
    swap = promote(settings, archives["2.0"], report=quiet)
    assert (swap.live, swap.previous) == ("2.0", "1.0")
    assert server.calls == ["register", "set_default"]
    assert (server.default, server.loaded) == ("2.0", {"1.0", "2.0"})
    assert journal.read_intent(settings.model_store) is None
    assert rollback(settings, None, report=quiet).live == "1.0"
    assert server.calls == ["register", "set_default", "set_default"]


@pytest.mark.parametrize(
    "fault",
    [
        ("register", InternalServerError("Worker died.", status=500)),
        ("register", InternalServerError("CUDA out of memory", status=507)),
        ("register", UnreachableError("gone")),
        ("set_default", InternalServerError("no such version", status=500)),
    ],
)
def test_a_fault_leaves_the_old_version(
    server: FakeServer, settings: ServerSettings, archives: dict[str, Path], fault: Fault
) -> None:
    server.fault = fault
    with pytest.raises(PromotionError):
        promote(settings, archives["2.0"], report=quiet)
    assert (server.default, live(settings)) == ("1.0", "1.0")
    if fault[0] == "register":
        assert server.loaded == {"1.0"}


@pytest.mark.parametrize(
    ("check", "error"),
    [
        ("check_workers", NotReadyError("1 of 2 workers ready")),
        ("check_probes", NotReadyError("answers a probe 0.5 away")),
        ("check_gates", PromotionError("a drop beyond 1 %")),
        ("check_gates", InternalServerError("Worker died.", status=500)),
        ("check_gates", KeyboardInterrupt()),
    ],
)
def test_a_version_that_fails_a_check_is_unloaded(
    monkeypatch: pytest.MonkeyPatch,
    server: FakeServer,
    settings: ServerSettings,
    archives: dict[str, Path],
    check: str,
    error: BaseException,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(loading, check, fail)
    with pytest.raises((PromotionError, KeyboardInterrupt)):
        promote(settings, archives["2.0"], report=quiet)
    assert (server.default, server.loaded, live(settings)) == ("1.0", {"1.0"}, "1.0")


def test_a_full_disk_at_the_record_puts_the_old_version_back(
    monkeypatch: pytest.MonkeyPatch,
    server: FakeServer,
    settings: ServerSettings,
    archives: dict[str, Path],
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(promotion, "write_record", full)
    with pytest.raises(PromotionError, match="No space left on device"):
        promote(settings, archives["2.0"], report=quiet)
    assert (server.default, live(settings)) == ("1.0", "1.0")


def test_a_full_disk_at_the_copy_loads_nothing(
    monkeypatch: pytest.MonkeyPatch,
    server: FakeServer,
    settings: ServerSettings,
    archives: dict[str, Path],
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loading.shutil, "copyfile", full)
    with pytest.raises(PromotionError, match="could not be copied"):
        promote(settings, archives["2.0"], report=quiet)
    assert server.calls == []
    assert [path.name for path in settings.model_store.glob("*2.0*")] == []


def test_other_classes_only_where_they_are_meant(
    server: FakeServer, settings: ServerSettings, archives: dict[str, Path]
) -> None:
    with pytest.raises(InputError, match="--allow-class-change"):
        promote(settings, archives["3.0"], report=quiet)
    assert server.calls == []
    assert promote(
        settings, archives["3.0"], report=quiet, terms=PromotionOptions(allow_class_change=True)
    ).live == "3.0"  # fmt: skip


def test_what_evicted_is_drained_before_it_is_unloaded(
    server: FakeServer, settings: ServerSettings, archives: dict[str, Path]
) -> None:
    promote(settings, archives["2.0"], report=quiet, terms=PromotionOptions(keep=0))
    assert server.calls == ["register", "set_default", "drain", "unregister"]
    assert server.loaded == {"2.0"}
    with pytest.raises(InputError, match="no version before it"):
        rollback(settings, None, report=quiet)


def test_a_live_or_absent_version_cannot_be_retired(
    server: FakeServer, settings: ServerSettings
) -> None:
    with pytest.raises(InputError, match="is live"):
        retire(settings, "tiny", "1.0", report=quiet)
    with pytest.raises(InputError, match=r"not loaded; these are: 1\.0"):
        retire(settings, "tiny", "7.0", report=quiet)


def test_a_second_promotion_is_refused_and_touches_nothing(
    server: FakeServer, settings: ServerSettings, archives: dict[str, Path]
) -> None:
    with locked(settings.model_store), pytest.raises(BusyError):
        promote(settings, archives["2.0"], report=quiet)
    assert server.calls == []


def test_gates_reach_the_check(
    monkeypatch: pytest.MonkeyPatch,
    server: FakeServer,
    settings: ServerSettings,
    archives: dict[str, Path],
) -> None:
    seen: list[Gates] = []

    def look(_: Any, __: Any, ___: Any, gates: Gates, **____: Any) -> None:
        seen.append(gates)

    monkeypatch.setattr(loading, "check_gates", look)
    gates = Gates(max_p99_ms=5.0)
    promote(settings, archives["2.0"], report=quiet, terms=PromotionOptions(gates=gates))
    assert seen == [gates]
