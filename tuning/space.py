"""Which configurations are worth trying on a host, and in which order."""

import importlib.util
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handlers.cgroup import cpu_count
from handlers.contract import ENGINE_FILES
from serving.gpus import count_gpus
from tuning.serving_config import ServingConfig

Choice = Mapping[str, Any]
"""Values of settings that only make sense together."""
BATCHES_CPU = ((1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (8, 5), (16, 10))
# A GPU computes a large batch in little more time than one photo, so waiting for a fuller batch may pay.
BATCHES_GPU = ((1, 1), (4, 1), (8, 1), (16, 1), (32, 1), (64, 1), (16, 5), (32, 5), (64, 10))
WORKERS_PER_GPU = (1, 2, 3, 4, 6)
PRECISIONS = ("float16", "bfloat16", "float32")


@dataclass(frozen=True, kw_only=True)
class Host:
    cores: int
    gpus: int
    engines: tuple[str, ...]
    """Those that can serve the archive on the CPU, the handler's own choice first."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    name: str
    choices: tuple[Choice, ...]

    def around(self, config: ServingConfig) -> Iterator[ServingConfig]:
        """Yield the configuration with each choice of this axis in turn."""
        for choice in self.choices:
            yield config.changed(choice)


@dataclass(frozen=True, kw_only=True)
class Space:
    axes: tuple[Axis, ...]
    connections: tuple[int, ...]
    """Concurrent requests of each level, ascending, from one to more than the host can take."""


def read_host(archive_files: Collection[str]) -> Host:
    """Return the cores, GPUs and engines with which this host would serve an archive of these files."""
    return Host(
        cores=cpu_count(),
        gpus=count_gpus(os.environ),
        engines=(
            *(
                name
                for name, (file, library) in ENGINE_FILES.items()
                if file in archive_files and importlib.util.find_spec(library) is not None
            ),
            "eager",
        ),
    )


def make_space(host: Host) -> Space:
    """Return the configurations to try; axes that usually matter most come first."""
    if host.gpus:
        workers = [host.gpus * count for count in WORKERS_PER_GPU]
        axes = (
            _axis("workers", [{"workers": count} for count in workers]),
            _axis("batches", _batches(BATCHES_GPU)),
            _axis("precision", [{"precision": name} for name in PRECISIONS]),
        )
        return Space(axes=axes, connections=(1, *(host.gpus * count for count in (8, 32, 128))))
    axes = (
        _axis("workers and threads", list(_shares_of(host.cores))),
        _axis("engine", [{"engine": name} for name in host.engines]),
        _axis("batches", _batches(BATCHES_CPU)),
    )
    cores = host.cores
    return Space(axes=axes, connections=tuple(sorted({1, cores, 2 * cores, 4 * cores})))


def _axis(name: str, choices: Sequence[Choice]) -> Axis:
    return Axis(name=name, choices=tuple(choices))


def _batches(pairs: Sequence[tuple[int, int]]) -> list[Choice]:
    return [{"batch_size": size, "max_delay_ms": delay_ms} for size, delay_ms in pairs]


def _shares_of(cores: int) -> Iterator[Choice]:
    """Yield ways to use the cores: one worker each, one more, one fewer, and fewer workers with several threads."""
    pairs = [(cores, 1), (cores + 1, 1), (max(1, cores - 1), 1)]
    threads = 2
    while threads <= cores:
        pairs.append((max(1, cores // threads), threads))
        threads *= 2
    if cores >= 2:
        pairs.append((cores, 2))
    for workers, count in dict.fromkeys(pairs):
        yield {"workers": workers, "threads": count}
