"""Classify photos: files, folders, or - for standard input.

Example:
    headswap predict photo.jpg
    headswap predict photos/ --transport grpc --top-k 3 --json > answers.jsonl

A photo that cannot be classified is named and the others go on; the exit code is then 1.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

import tyro

from headswap.console import print_error, stdout
from headswap.errors import InputError
from headswap.photo_paths import find_photos
from headswap.where import Where

if TYPE_CHECKING:
    from serving.client import Prediction
    from serving.settings import ServerSettings


@dataclass(frozen=True, kw_only=True)
class Command:
    photos: tyro.conf.Positional[tuple[str, ...]] = ()
    """Files, folders (searched whole), or - for standard input."""
    model: str | None = None
    """The model; needed only where several are live."""
    version: str | None = None
    """A loaded version instead of the live one."""
    transport: Literal["http", "grpc"] = "http"
    """How to ask."""
    top_k: int = 3
    """How many guesses a photo."""
    json: bool = False
    """One JSON object a line instead of text."""
    in_flight: int = 8
    """Requests under way at once."""
    where: Where = field(default_factory=Where)


def run(command: Command) -> int:
    from serving.client import GrpcClient, HttpClient, predict_many

    photos = find_photos(command.photos)
    settings = command.where.settings()
    model = command.model or _only_model(settings)
    bad = 0
    with (HttpClient if command.transport == "http" else GrpcClient)(settings) as client:
        answers = predict_many(
            lambda photo: client.predict(
                model, photo.read(), top_k=command.top_k, version=command.version
            ),
            photos,
            in_flight=command.in_flight,
        )
        for photo, answer in zip(photos, answers, strict=True):
            if isinstance(answer, Exception):
                bad += 1
                _tell_error(photo.name, answer, as_json=command.json)
            else:
                stdout.print(_line(photo.name, answer, as_json=command.json))
    return 1 if bad else 0


def _line(name: str, answer: "Prediction", *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"photo": name, **asdict(answer)}, ensure_ascii=False)
    guesses = ", ".join(f"{guess.label} {guess.probability:.3f}" for guess in answer.guesses)
    return f"{name}: {guesses}"


def _tell_error(name: str, error: Exception, *, as_json: bool) -> None:
    if not hasattr(error, "exit_code") and not isinstance(error, OSError):
        raise error
    if as_json:
        stdout.print(json.dumps({"photo": name, "error": str(error)}, ensure_ascii=False))
    print_error(f"{name}: {error}")


def _only_model(settings: "ServerSettings") -> str:
    from serving.live_record import read_record

    models = list(read_record(settings.model_store))
    if len(models) != 1:
        raise InputError(
            f"{len(models)} models are live ({', '.join(models) or 'none'}); name one with --model."
        )
    return models[0]
