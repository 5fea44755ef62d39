"""How answers look on standard output: text, JSON lines or CSV."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from serving.client import Prediction

Style = Literal["text", "json", "csv"]


class Lines(Protocol):
    def head(self) -> str:
        """Return what comes before the first line."""

    def answered(self, name: str, answer: "Prediction", picture: Path | None) -> str:
        """Return the line of a photo and its answer."""

    def failed(self, name: str, error: Exception) -> str:
        """Return the line of a photo that has none; empty where standard error says it all."""


def lines_of(style: Style, *, top_k: int) -> Lines:
    if style == "json":
        return JsonLines()
    return CsvLines(top_k) if style == "csv" else TextLines()


class TextLines:
    def head(self) -> str:
        return ""

    def answered(self, name: str, answer: "Prediction", picture: Path | None) -> str:
        scores = ", ".join(f"{score.label} {score.probability:.3f}" for score in answer.scores)
        return f"{name}: {scores}{f'  {picture}' if picture else ''}\n"

    def failed(self, name: str, error: Exception) -> str:
        return ""


class JsonLines:
    def head(self) -> str:
        return ""

    def answered(self, name: str, answer: "Prediction", picture: Path | None) -> str:
        shown = {} if picture is None else {"explanation": str(picture)}
        return _json({"photo": name, **asdict(answer), **shown})

    def failed(self, name: str, error: Exception) -> str:
        told = {"status": getattr(error, "status", 0), "code": getattr(error, "code", "")}
        return _json({"photo": name, "error": {**told, "message": str(error)}})


class CsvLines:
    def __init__(self, top_k: int) -> None:
        self._top_k = top_k

    def head(self) -> str:
        numbers = range(1, self._top_k + 1)
        scores = [f"{what}_{number}" for number in numbers for what in ("label", "probability")]
        return _csv(["photo", "model", "version", *scores, "explanation", "error"])

    def answered(self, name: str, answer: "Prediction", picture: Path | None) -> str:
        scores = [cell for score in answer.scores for cell in (score.label, score.probability)]
        # A model may have fewer classes than guesses were asked for.
        missing = [""] * (2 * self._top_k - len(scores))
        return _csv([name, answer.model, answer.version, *scores, *missing, picture or "", ""])

    def failed(self, name: str, error: Exception) -> str:
        return _csv([name, *[""] * (2 * self._top_k + 3), str(error)])


def _json(content: dict[str, object]) -> str:
    # A file name may hold bytes that are no text: escaped, the line stays valid JSON.
    return json.dumps(content) + "\n"


def _csv(cells: list[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
