"""What a worker replied, as the client returns what a server replied: the same predictions and the same errors."""

from batch.processes import Outcome
from serving.client.responses import parse_error, parse_prediction
from serving.client.results import Prediction
from serving.errors import RequestError


def read_outcome(outcome: Outcome) -> Prediction | RequestError | OSError:
    """Return the prediction, or the error in its place."""
    if isinstance(outcome, Exception):
        return outcome
    status, body, _ = outcome
    return parse_error(body, status=status) if status >= 400 else parse_prediction(body)


def explanation_png(outcome: Outcome) -> bytes | None:
    """Return the PNG of the explanation, where one was asked for."""
    return None if isinstance(outcome, Exception) else outcome[2]
