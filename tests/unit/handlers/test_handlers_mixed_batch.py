"""Times and counts belong to the request they come from, also in a batch of both transports."""

from handlers.loaders import PassTiming, PhotoTiming, Timings
from handlers.metrics import Metrics


class Recorded:
    """A metric of TorchServe's cache that keeps what it is given."""

    def __init__(self) -> None:
        self.values: list[tuple[float, str]] = []

    def add_or_update(self, value: float, labels: list[str]) -> None:
        self.values.append((value, labels[2]))


def test_each_request_is_counted_under_its_own_transport(card) -> None:
    timings = Timings(
        photos=[
            PhotoTiming(owner=0, format_name="JPEG", decode_s=0.1, preprocess_s=0.01),
            PhotoTiming(owner=1, format_name="PNG", decode_s=0.2, preprocess_s=0.02),
        ],
        passes=[PassTiming(2, 0.3)],
    )
    metrics = Metrics(None, card)
    recorded = {
        name: Recorded()
        for name in (
            "handler_decode_seconds",
            "handler_images_total",
            "handler_inference_seconds",
            "handler_batch_size",
            "handler_total_seconds",
        )
    }
    metrics._metrics = recorded
    metrics.write_call(timings, transports=["http", "grpc"], total_s=0.5)
    assert recorded["handler_decode_seconds"].values == [(0.1, "http"), (0.2, "grpc")]
    assert recorded["handler_images_total"].values == [(1, "http"), (1, "grpc")]
    assert recorded["handler_inference_seconds"].values == [(0.3, "mixed")]
    assert recorded["handler_batch_size"].values == [(2, "mixed")]
    assert recorded["handler_total_seconds"].values == [(0.5, "http"), (0.5, "grpc")]
