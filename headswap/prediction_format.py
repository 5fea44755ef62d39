"""How `headswap predict` writes predictions on standard output: text, JSON lines or CSV."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from headswap.output import visible

if TYPE_CHECKING:
    from serving.client import Prediction

FormatName = Literal["text", "json", "csv"]


class PredictionFormat(Protocol):
    def header(self) -> str:
        """Return what comes before the first line."""

    def success(self, name: str, prediction: "Prediction", explanation: Path | None) -> str:
        """Return the line of a photo, its prediction, and the file of its explanation where there is one."""

    def failure(self, name: str, error: Exception) -> str:
        """Return the line of a photo without a prediction; empty if standard error alone reports it."""


def prediction_format(name: FormatName, *, top_k: int) -> PredictionFormat:
    if name == "json":
        return JsonFormat()
    return CsvFormat(top_k) if name == "csv" else TextFormat()


class TextFormat:
    def header(self) -> str:
        return ""

    def success(self, name: str, prediction: "Prediction", explanation: Path | None) -> str:
        scores = ", ".join(f"{score.label} {score.probability:.3f}" for score in prediction.scores)
        line = f"{name}: {scores}{f'  {explanation}' if explanation else ''}"
        return f"{visible(line)}{_remark(prediction)}\n"

    def failure(self, name: str, error: Exception) -> str:
        return ""


class JsonFormat:
    def header(self) -> str:
        return ""

    def success(self, name: str, prediction: "Prediction", explanation: Path | None) -> str:
        extra = {} if explanation is None else {"explanation": str(explanation)}
        # Asked one photo at a time, the server has no name to repeat.
        fields = {key: value for key, value in asdict(prediction).items() if key != "name"}
        return _json({"photo": name, **fields, **extra})

    def failure(self, name: str, error: Exception) -> str:
        status, code = getattr(error, "status", 0), getattr(error, "code", "")
        return _json(
            {"photo": name, "error": {"status": status, "code": code, "message": str(error)}}
        )


class CsvFormat:
    def __init__(self, top_k: int) -> None:
        self._top_k = top_k

    def header(self) -> str:
        ranks = range(1, self._top_k + 1)
        scores = [f"{column}_{rank}" for rank in ranks for column in ("label", "probability")]
        return _csv(
            [
                "photo",
                "model",
                "version",
                *scores,
                "outcome",
                "unknown_score",
                "explanation",
                "error",
            ]
        )

    def success(self, name: str, prediction: "Prediction", explanation: Path | None) -> str:
        scores = [cell for score in prediction.scores for cell in (score.label, score.probability)]
        # A model may have fewer classes than --top-k.
        missing = [""] * (2 * self._top_k - len(scores))
        model = [prediction.model, prediction.version]
        score = "" if prediction.unknown_score is None else prediction.unknown_score
        outcome = [prediction.outcome or "", score]
        return _csv([name, *model, *scores, *missing, *outcome, explanation or "", ""])

    def failure(self, name: str, error: Exception) -> str:
        return _csv([name, *[""] * (2 * self._top_k + 5), str(error)])


def _remark(prediction: "Prediction") -> str:
    """Return a remark on a prediction that may mean nothing."""
    if prediction.outcome in (None, "known"):
        return ""
    score = prediction.unknown_score
    return f"  {prediction.outcome}{'' if score is None else f' ({score:.2f})'}"


def _json(content: dict[str, object]) -> str:
    # json.dumps escapes the bytes of a file name that are not UTF-8, so the line stays valid JSON.
    return json.dumps(content) + "\n"


def _csv(cells: list[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
