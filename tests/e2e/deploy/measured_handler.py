"""Computes nothing, and writes every metric of the real handler through the real one's code."""

from types import SimpleNamespace

import numpy as np

from handlers.answer import Answer
from handlers.errors import UndecodableImageError
from handlers.images.loaders import PassTiming, PhotoTiming, Timings
from handlers.metric_buffer import MetricBuffer
from handlers.metrics import Metrics


class MeasuredHandler:
    def initialize(self, context):
        card = SimpleNamespace(name="clothing", version="1.0", class_names=("hat", "shoes"))
        self.metrics = Metrics(context.metrics, card, MetricBuffer())

    def handle(self, data, context):
        bodies = [bytes(item.get("body") or b"") for item in data]
        if b"fail" in bodies:
            raise ValueError("asked to")
        photo = PhotoTiming(request_index=0, format_name="JPEG", decode_s=0.004, preprocess_s=0.002)
        timings = Timings(photos=[photo], passes=[PassTiming(len(data), 0.02)])
        self.metrics.write_call(timings, transports=["http"] * len(data), total_s=0.03)
        for index, body in enumerate(bodies):
            if body == b"refuse":
                self.metrics.write_result(UndecodableImageError("no photo"), transport="http")
                context.set_response_status(400, "Bad Request", index)
            else:
                probabilities = np.array([0.1, 0.9], np.float32)
                answer = Answer(probabilities, outcome="unknown", unknown_score=3.0)
                self.metrics.write_result(answer, transport="http")
        return [b"{}"] * len(data)
