"""Who gets which chunk of a folder, and what happens to the chunks of actors that die; without Ray."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from batch.errors import WorkerError
from batch.output import Chunk
from batch.sources import Entry
from cluster.batch import folders
from cluster.batch.folder_worker import FolderJob

JOB = FolderJob(archive_sha256="0" * 64, model_config={}, sources=("/photos",), top_k=1)


class Reference:
    """Of a call of an actor, which answers, or raises, when it is asked for."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer


class Method:
    def __init__(self, answer: Callable[..., Any]) -> None:
        self._answer = answer

    def remote(self, *arguments: Any) -> Reference:
        return Reference(lambda: self._answer(*arguments))


class Actor:
    def __init__(self, ray: "FakeRay", number: int) -> None:
        self.load = Method(lambda: ray.load(number))
        self.classify = Method(lambda entries: ray.classify(number, entries))


class FakeRay:
    """A cluster whose actors do as the test says."""

    def __init__(self, cpus: int = 2) -> None:
        self.cpus = cpus
        self.started = 0
        self.load: Callable[[int], None] = lambda number: None
        self.classify: Callable[[int, list[Entry]], list[str]] = lambda number, entries: [
            entry.name for entry in entries
        ]

    def wait(
        self, references: list[Reference], *, timeout: float
    ) -> tuple[list[Reference], list[Reference]]:
        assert references
        return references[:1], references[1:]

    def get(self, reference: Reference) -> Any:
        return reference.answer()

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(self.cpus)}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()

    class ActorType:
        def remote(self, job: FolderJob) -> Actor:
            assert job is JOB
            fake.started += 1
            return Actor(fake, fake.started)

    monkeypatch.setattr(fake, "remote", lambda **_: lambda _: ActorType(), raising=False)
    monkeypatch.setattr(folders, "ray", fake)
    return fake


def chunks_of(count: int) -> Iterator[Chunk]:
    return ((number, [Entry(f"{number}.jpg", 0)]) for number in range(count))


def classify(count: int, *, workers: int | None = None) -> dict[int, list[Any]]:
    crew = folders._Crew(JOB, workers=workers)
    done: dict[int, list[Any]] = {}
    for (number, _), outcomes in crew.classify(chunks_of(count)):
        assert number not in done
        done[number] = outcomes
    return done


def test_each_chunk_is_answered_once(ray: FakeRay) -> None:
    assert classify(7) == {number: [f"{number}.jpg"] for number in range(7)}
    assert ray.started == 2


def test_nothing_to_do_starts_nobody_for_long(ray: FakeRay) -> None:
    assert classify(0) == {}


@pytest.mark.parametrize("workers", [1, 5])
def test_there_are_as_many_actors_as_asked_for(ray: FakeRay, workers: int) -> None:
    assert len(classify(20, workers=workers)) == 20
    assert ray.started == workers


def test_the_chunks_of_an_actor_that_dies_are_done_by_another(ray: FakeRay) -> None:
    def classify_or_die(number: int, entries: list[Entry]) -> list[str]:
        if number == 1:
            raise RayActorError
        return [entry.name for entry in entries]

    ray.classify = classify_or_die
    assert classify(9) == {number: [f"{number}.jpg"] for number in range(9)}
    assert ray.started == 3


def test_a_chunk_that_ends_actor_after_actor_ends_the_run(ray: FakeRay) -> None:
    def die(number: int, entries: list[Entry]) -> list[str]:
        raise RayActorError

    ray.classify = die
    with pytest.raises(WorkerError, match="3 actors died .* from '0.jpg' on"):
        classify(4)


def test_actors_that_die_while_they_load_end_the_run(ray: FakeRay) -> None:
    def die(number: int) -> None:
        raise RayActorError

    ray.load = die
    with pytest.raises(WorkerError, match="3 actors died while they loaded"):
        classify(4)


def test_an_archive_that_a_node_refuses_is_its_own_error(ray: FakeRay) -> None:
    refused = WorkerError("the probes differ", exit_code=2)

    def refuse(number: int) -> None:
        raise RayTaskError("load", "a traceback", refused)

    ray.load = refuse
    with pytest.raises(WorkerError, match="the probes differ") as raised:
        classify(4)
    assert raised.value.exit_code == 2


def test_nodes_that_join_are_used(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "GROW_INTERVAL_S", 0.0)

    def classify_and_join(number: int, entries: list[Entry]) -> list[str]:
        ray.cpus = 4
        return [entry.name for entry in entries]

    ray.classify = classify_and_join
    assert len(classify(30)) == 30
    assert ray.started == 4
