"""What a replica makes of its process: the archive's own code, TorchServe's metrics and request lines."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.message import Parameter
from cluster.replica import Replica
from cluster.replica_logs import HandlerOutput, RayMetrics, open_log
from handlers.metric_buffer import MetricBuffer

ROOT = Path(__file__).parents[3]
COUNTER, HISTOGRAM = SimpleNamespace(name="COUNTER"), SimpleNamespace(name="HISTOGRAM")


def test_the_code_of_the_archive_runs_whatever_was_imported_before(tmp_path: Path) -> None:
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers" / "__init__.py").write_text("")
    (tmp_path / "handlers" / "contract.py").write_text("ORIGIN = 'archive'")
    program = (
        "import sys; from pathlib import Path\n"
        "import handlers.contract, serving.archive.reader\n"
        "from cluster.replica import use_own_handlers\n"
        "use_own_handlers(Path(sys.argv[1]))\n"
        "from handlers.contract import ORIGIN\n"
        "print(ORIGIN)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "archive\n"


class Recorded:
    """A metric of Ray in memory."""

    def __init__(self, name: str, **_: Any) -> None:
        self.name = name
        self.values: list[tuple[float, dict[str, str]]] = []

    def set_default_tags(self, _: dict[str, str]) -> None:
        pass

    def add(self, value: float, tags: dict[str, str]) -> None:
        self.values.append((value, tags))

    inc = observe = add


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> RayMetrics:
    for name in ("Counter", "Histogram"):
        monkeypatch.setattr(f"cluster.replica_logs.{name}", type(name, (Recorded,), {}))
    return RayMetrics()


@pytest.fixture
def output(metrics: RayMetrics, tmp_path: Path) -> Iterator[Path]:
    """Yield the request log of a process whose handler output is taken apart."""
    log = logging.getLogger("handlers.metric_buffer")
    before = (log.handlers, log.propagate, log.level)
    request_log = open_log("requests", str(tmp_path))
    log.handlers, log.propagate = [HandlerOutput(metrics, request_log)], False
    log.setLevel(logging.INFO)
    yield tmp_path / "requests.log"
    log.handlers, log.propagate = before[:2]
    log.setLevel(before[2])
    request_log.handlers[0].close()


def test_metrics_and_request_lines_are_taken_apart(metrics: RayMetrics, output: Path) -> None:
    errors = metrics.get_metric("handler_errors_total", COUNTER)
    seconds = metrics.get_metric("handler_total_seconds", HISTOGRAM)
    buffer = MetricBuffer()
    labels = "model:m,version:1.0,transport:http"
    buffer.add(seconds, 0.25, labels)
    buffer.add(errors, 1, f"{labels},code:empty_body")
    buffer.add(errors, 1, f"{labels},code:empty_body")
    buffer.add_lines(['{"time":"now","correlation_id":"[METRICS]x"}'])
    buffer.flush()
    tags = {"model": "m", "version": "1.0", "transport": "http"}
    assert metrics._metrics["handler_total_seconds"].values == [(0.25, tags)]  # type: ignore[union-attr]
    assert metrics._metrics["handler_errors_total"].values == [  # type: ignore[union-attr]
        (2.0, tags | {"code": "empty_body"})
    ]
    assert output.read_text() == '{"time":"now","correlation_id":"[METRICS]x"}\n'


def test_a_renamed_log_is_written_anew(output: Path) -> None:
    """As logrotate does it, while every process of the node has the file open."""
    log = logging.getLogger("headswap.requests")
    log.info("one")
    output.rename(output.with_suffix(".1"))
    log.info("two")
    assert output.read_text() == "two\n"


@pytest.mark.parametrize(
    "line", ["[METRICS]", "[METRICS]unknown.unit:1|#|#type:COUNTER", "[METRICS]x"]
)
def test_an_odd_line_is_no_error(metrics: RayMetrics, line: str) -> None:
    metrics.write(line)


def test_ray_takes_values_that_lack_a_label() -> None:
    """A request that succeeds has no `code`; Ray itself refuses a value that lacks one of its metric's labels."""
    metrics = RayMetrics()
    metrics.get_metric("handler_total_seconds", HISTOGRAM)
    metrics.get_metric("handler_images_total", COUNTER)
    for name, kind in (("handler_total_seconds", "HISTOGRAM"), ("handler_images_total", "COUNTER")):
        metrics.write(f"[METRICS]{name}.unit:0.1|#model:m,version:1.0|#type:{kind}|#hostname:h,1")


def test_a_metric_that_fails_ends_neither_its_request_nor_the_log(
    metrics: RayMetrics,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: str) -> None:
        raise ValueError("refused")

    monkeypatch.setattr(metrics, "write", fail)
    lines = ['{"time":"1"}', "[METRICS]x", '{"time":"2"}']
    logging.getLogger("handlers.metric_buffer").info("\n".join(lines))
    assert output.read_text() == '{"time":"1"}\n{"time":"2"}\n'
    assert "refused" in capsys.readouterr().err


class BatchClassifier:
    """A classifier that remembers how many requests came together, and answers with each one's body."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def respond(self, items: list[dict[str, Any]], headers: list[dict[str, Any]]) -> list[Any]:
        self.batches.append(len(items))
        time.sleep(0.05)
        return [
            SimpleNamespace(
                status=200, phrase="OK", content_type="image/png", headers={}, body=item["body"]
            )
            for item in items
        ]


@pytest.mark.parametrize(("has_gpu", "batches"), [(False, [1] * 9), (True, [4, 4, 1])])
def test_a_gpu_computes_batches_and_a_cpu_single_requests(
    has_gpu: bool, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Serve compares the size of batches with it and warns.
    numbers = SimpleNamespace(max_ongoing_requests=8)
    context = SimpleNamespace(_deployment_config=numbers)
    monkeypatch.setattr("ray.serve.get_replica_context", lambda: context)

    async def respond_to_nine() -> list[bytes]:
        replica = Replica.__new__(Replica)
        replica._classifier = classifier
        replica._repeated_key = "repeated"
        replica._thread = ThreadPoolExecutor(1)
        replica._batch_on_gpu({"batchSize": 4, "maxBatchDelay": 20} if has_gpu else None)
        answers = await asyncio.gather(
            *(replica.respond([Parameter("body", "", bytes([n]))], {}) for n in range(9))
        )
        replica._thread.shutdown()
        return [answer.body for answer in answers]

    classifier = BatchClassifier()
    assert asyncio.run(respond_to_nine()) == [bytes([n]) for n in range(9)]
    assert classifier.batches == batches
