"""Metrics in TorchServe's format: declared ones only, with labels that cannot break it."""

import logging
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ts.context import Context
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
from ts.metrics.metric_type_enum import MetricTypes

from handlers import metrics
from handlers.entry import HeadswapHandler
from handlers.images.loaders import PassTiming, PhotoTiming, Timings
from handlers.metric_buffer import MetricBuffer
from handlers.settings import HandlerSettings
from tests.unit.handlers.helpers import HTTP, Worker

# TorchServe leaves the file it parsed open.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DECLARATION = Path(metrics.__file__).parents[1] / "serving" / "metrics.yaml"
LINE = re.compile(r"\[METRICS\](\w+)\.(\w+):([\d.e-]+)\|#([^|]*)\|#type:(\w+)\|#hostname:\S+,\d+")


@pytest.fixture
def cache() -> MetricsCacheYamlImpl:
    cache = MetricsCacheYamlImpl(config_file_path=str(DECLARATION))
    cache.initialize_cache()
    return cache


def emitted(caplog) -> list[tuple[str, str]]:
    """Return name and labels of each metric printed so far."""
    messages = [record.getMessage() for record in caplog.records]
    lines = [
        line for message in messages if "[METRICS]" in message for line in message.splitlines()
    ]
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), lines
    return [(match[1], match[4]) for match in matches]


def test_every_metric_is_declared_with_its_labels() -> None:
    declared = yaml.safe_load(DECLARATION.read_text())["model_metrics"]
    dimensions = {m["name"]: m["dimensions"] for metrics_ in declared.values() for m in metrics_}
    for name in metrics.HISTOGRAMS + metrics.COUNTERS:
        extra = metrics.EXTRA_DIMENSION.get(name)
        assert dimensions[name] == [*metrics.DIMENSIONS, *([extra] if extra else [])]


def test_a_version_that_fails_to_load_is_counted(archive_folder, cache, caplog) -> None:
    assert (
        tuple(cache.get_metric(metrics.LOAD_FAILURES, MetricTypes.COUNTER).dimension_names)
        == metrics.LOAD_FAILURE_DIMENSIONS
    )
    (archive_folder / "weights.safetensors").write_bytes(b"none")
    (archive_folder / "model.onnx").write_bytes(b"none")
    manifest = {"model": {"modelName": "colours", "modelVersion": "1.0:2"}}
    context = Context(
        "colours", str(archive_folder), manifest, 8, None, "0.12.0", True, cache, None
    )
    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError):
        HeadswapHandler().initialize(context)
    assert emitted(caplog) == [(metrics.LOAD_FAILURES, "model:colours,version:1.0_2")]


def test_a_batch_is_counted_and_timed(archive_folder, photos, cache, caplog, card) -> None:
    worker = Worker(archive_folder)
    worker.handler._classifier.pipeline._settings = HandlerSettings(min_probability=0.5)
    buffer = MetricBuffer()
    worker.handler._classifier._metrics = metrics.Metrics(cache, card, buffer)
    with caplog.at_level(logging.INFO):
        worker.respond(
            [{"body": bytearray(photos["red"])}, {"body": bytearray(b"bad")}], [HTTP, HTTP]
        )
        buffer.flush()
    lines = emitted(caplog)
    labels = "model:colours,version:1.0,transport:http"
    assert ("handler_predictions_total", f"{labels},label:red") in lines
    assert ("handler_errors_total", f"{labels},code:undecodable_image") in lines
    assert ("handler_images_total", f"{labels},format:JPEG") in lines
    assert ("handler_outcomes_total", f"{labels},outcome:known") in lines
    assert {name for name, _ in lines} == set(metrics.HISTOGRAMS + metrics.COUNTERS)


def test_an_undeclared_metric_costs_nothing(archive_folder, photos, card, caplog, tmp_path) -> None:
    path = tmp_path / "metrics.yaml"
    path.write_text("model_metrics:\n  gauge:\n    - {name: Other, unit: ms, dimensions: []}\n")
    cache = MetricsCacheYamlImpl(config_file_path=str(path))
    cache.initialize_cache()
    worker = Worker(archive_folder)
    buffer = MetricBuffer()
    worker.handler._classifier._metrics = metrics.Metrics(cache, card, buffer)
    with caplog.at_level(logging.INFO):
        worker.respond([{"body": bytearray(photos["red"])}])
        buffer.flush()
    assert emitted(caplog) == []


def test_labels_cannot_break_the_line() -> None:
    assert metrics._escape("a,b|c#d:e\r\nf") == "a_b_c_d_e__f"


def test_a_line_is_the_same_as_torchserves_own(cache, caplog, monkeypatch) -> None:
    metric = cache.get_metric("handler_decode_seconds", MetricTypes.HISTOGRAM)
    buffer = MetricBuffer()
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    with (
        caplog.at_level(logging.INFO),
        caplog.at_level(logging.INFO, logger="ts.metrics.caching_metric"),
    ):
        metric.add_or_update(0.25, ["clothing", "1.0", "http"])
        buffer.add(metric, 0.25, "model:clothing,version:1.0,transport:http")
        buffer.flush()
    messages = [record.getMessage() for record in caplog.records]
    theirs, ours = messages
    assert ours == theirs


def test_values_have_six_decimals(cache, caplog) -> None:
    histogram = cache.get_metric("handler_decode_seconds", MetricTypes.HISTOGRAM)
    counter = cache.get_metric("handler_images_total", MetricTypes.COUNTER)
    buffer = MetricBuffer(interval_s=3600)
    with caplog.at_level(logging.INFO):
        buffer.add(histogram, 0.12345678, "transport:six")
        buffer.add(counter, 1, "format:six")
        buffer.flush()
    printed = "\n".join(record.getMessage() for record in caplog.records).splitlines()
    values = [LINE.fullmatch(line)[3] for line in printed if ":six" in line]
    assert values == ["0.123457", "1"]


def test_counters_are_summed_and_histograms_are_not(cache, caplog) -> None:
    counter = cache.get_metric("handler_images_total", MetricTypes.COUNTER)
    histogram = cache.get_metric("handler_decode_seconds", MetricTypes.HISTOGRAM)
    buffer = MetricBuffer(interval_s=3600)
    with caplog.at_level(logging.INFO):
        for seconds in (0.1, 0.2):
            buffer.add(counter, 1, "format:JPEG")
            buffer.add(histogram, seconds, "transport:http")
        buffer.flush()
    [record] = caplog.records
    values = [LINE.fullmatch(line)[3] for line in record.getMessage().splitlines()]
    assert values == ["0.1", "0.2", "2"]


def test_the_buffer_prints_by_itself(cache, caplog) -> None:
    counter = cache.get_metric("handler_images_total", MetricTypes.COUNTER)
    buffer = MetricBuffer(interval_s=0.01)
    with caplog.at_level(logging.INFO):
        for number in range(2):
            buffer.add(counter, 1, "format:JPEG")
            deadline = time.monotonic() + 10
            while len(caplog.records) == number and time.monotonic() < deadline:
                time.sleep(0.01)
    assert len(caplog.records) == 2


def test_each_request_is_counted_under_its_own_transport(card) -> None:
    timings = Timings(
        photos=[
            PhotoTiming(request_index=0, format_name="JPEG", decode_s=0.1, preprocess_s=0.01),
            PhotoTiming(request_index=1, format_name="PNG", decode_s=0.2, preprocess_s=0.02),
        ],
        passes=[PassTiming(2, 0.3)],
    )
    names = (
        "handler_decode_seconds", "handler_images_total", "handler_inference_seconds", "handler_batch_size",
        "handler_total_seconds",
    )  # fmt: skip
    recorded: dict[str, list[tuple[float, str]]] = {name: [] for name in names}
    buffer = SimpleNamespace(
        add=lambda name, value, labels: recorded[name].append((value, transport_of(labels)))
    )
    writer = metrics.Metrics(None, card, buffer)
    writer._metrics = {name: name for name in names}
    writer.write_call(timings, transports=["http", "grpc"], total_s=0.5)
    assert recorded["handler_decode_seconds"] == [(0.1, "http"), (0.2, "grpc")]
    assert recorded["handler_images_total"] == [(1, "http"), (1, "grpc")]
    assert recorded["handler_inference_seconds"] == [(0.3, "mixed")]
    assert recorded["handler_batch_size"] == [(2, "mixed")]
    assert recorded["handler_total_seconds"] == [(0.5, "http"), (0.5, "grpc")]


def transport_of(labels: str) -> str:
    return dict(label.split(":") for label in labels.split(","))[metrics.DIMENSIONS[2]]
