"""What tests of the cluster's parts share."""

import json

from cluster.replica import Answer


def answer(version: str, label: str = "cat") -> Answer:
    """Return a version's answer for one photo."""
    scores = [{"label": label, "index": 0, "probability": 1.0}]
    content = {"model": {"name": "m", "version": version}, "predictions": scores}
    return Answer(200, "OK", "application/json", {}, json.dumps(content).encode())


ANSWER = answer("1.0")
