"""In a batch with requests of both transports, times and counts go to the request they belong to."""

from types import SimpleNamespace

from handlers.images.loaders import PassTiming, PhotoTiming, Timings
from handlers.metrics import DIMENSIONS, Metrics


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
    metrics = Metrics(None, card, buffer)
    metrics._metrics = {name: name for name in names}
    metrics.write_call(timings, transports=["http", "grpc"], total_s=0.5)
    assert recorded["handler_decode_seconds"] == [(0.1, "http"), (0.2, "grpc")]
    assert recorded["handler_images_total"] == [(1, "http"), (1, "grpc")]
    assert recorded["handler_inference_seconds"] == [(0.3, "mixed")]
    assert recorded["handler_batch_size"] == [(2, "mixed")]
    assert recorded["handler_total_seconds"] == [(0.5, "http"), (0.5, "grpc")]


def transport_of(labels: str) -> str:
    return dict(label.split(":") for label in labels.split(","))[DIMENSIONS[2]]
