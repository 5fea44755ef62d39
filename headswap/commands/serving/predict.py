"""Classify photos: files, folders, or - for standard input.

Example:
    headswap predict photo.jpg
    headswap predict photos/ --transport grpc --top-k 3 --json > answers.jsonl
    headswap predict photos/ --csv --explain heat/ > answers.csv
    HEADSWAP_TOKEN=... headswap predict photos/ --address https://host:8080 --model clothing

A photo that cannot be classified is named and the others go on; the exit code is then 1.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from headswap.errors import ArgumentError
from headswap.options import ClientOptions, ServerOptions, Transport
from headswap.output import print_error, stderr
from headswap.photo_paths import NamedPhoto, find_photos
from headswap.prediction_format import Style, lines_of

if TYPE_CHECKING:
    from serving.client import Client, Prediction

# One lost answer may be the photo's fault; this many in a row are the server's.
GIVE_UP_AFTER = 10


@dataclass(frozen=True, kw_only=True)
class Command:
    photos: tyro.conf.Positional[tuple[str, ...]] = ()
    """Files, folders (searched whole), or - for standard input."""
    model: str | None = None
    """The model; needed where several are live, and with --address."""
    version: str | None = None
    """A loaded version instead of the live one."""
    transport: Transport = "http"
    """How to ask."""
    top_k: int = 3
    """How many guesses a photo."""
    json: bool = False
    """One JSON object a line instead of text."""
    csv: bool = False
    """A table with a head and a line a photo instead of text."""
    explain: Path | None = None
    """A folder for one PNG a photo: what the network saw, hot where it spoke for the first guess."""
    in_flight: int = 8
    """Requests under way at once."""
    client: ClientOptions = field(default_factory=ClientOptions)
    server: ServerOptions = field(default_factory=ServerOptions)

    @property
    def style(self) -> Style:
        return "json" if self.json else "csv" if self.csv else "text"


@dataclass(frozen=True, kw_only=True)
class Answered:
    prediction: "Prediction"
    picture: Path | None


def run(command: Command) -> int:
    from serving.client import map_in_order

    _check(command)
    photos = find_photos(command.photos)
    model = command.model or _only_model(command)
    lines = lines_of(command.style, top_k=command.top_k)
    failures = _Failures()
    # Linux names files in bytes; whatever is no text in them goes out as it came in.
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    with (
        command.client.connect(
            command.server, command.transport, connections=command.in_flight
        ) as client,
        _progress(len(photos)) as advance,
        closing(
            map_in_order(
                lambda numbered: _answer(client, command, model, *numbered),
                enumerate(photos),
                in_flight=command.in_flight,
            )
        ) as answers,
    ):
        sys.stdout.write(lines.head())
        for photo, answer in zip(photos, answers, strict=True):
            if isinstance(answer, Exception):
                sys.stdout.write(lines.failed(photo.name, answer))
                failures.add(photo.name, answer)
            else:
                failures.in_a_row = 0
                sys.stdout.write(lines.answered(photo.name, answer.prediction, answer.picture))
            advance()
    if failures.count and len(photos) > 1:
        print_error(f"{failures.count} of {len(photos)} photos have no answer")
    return 1 if failures.count else 0


class _Failures:
    def __init__(self) -> None:
        self.count = 0
        self.in_a_row = 0

    def add(self, name: str, error: Exception) -> None:
        """Name the photo on standard error. Raises the error itself where no other photo would fare better."""
        from serving.errors import NotFoundError, RequestError, UnauthorisedError, UnreachableError

        if not isinstance(error, (RequestError, OSError)):
            raise error
        self.count += 1
        self.in_a_row = self.in_a_row + 1 if isinstance(error, UnreachableError) else 0
        if isinstance(error, (NotFoundError, UnauthorisedError)) or self.in_a_row == GIVE_UP_AFTER:
            raise error
        print_error(f"{name}: {error}")


def _answer(
    client: "Client", command: Command, model: str, number: int, photo: NamedPhoto
) -> Answered:
    data = photo.read()
    prediction = client.predict(model, data, top_k=command.top_k, version=command.version)
    if command.explain is None:
        return Answered(prediction=prediction, picture=None)
    # Numbered, because folders may hold photos of the same name.
    picture = command.explain / f"{number + 1:06}-{Path(photo.name).stem}.png"
    # The version that answered: a swap between the two requests must not explain another network's guess.
    png = client.explain_png(
        model, data, class_name=prediction.top.label, version=prediction.version
    )
    picture.write_bytes(png)
    return Answered(prediction=prediction, picture=picture)


def _check(command: Command) -> None:
    if command.json and command.csv:
        raise ArgumentError("--json and --csv exclude each other; give one of them.")
    for flag, value in (("--top-k", command.top_k), ("--in-flight", command.in_flight)):
        if value < 1:
            raise ArgumentError(f"{flag} is {value}; it must be 1 or more.")
    if command.explain is not None:
        command.explain.mkdir(parents=True, exist_ok=True)


def _only_model(command: Command) -> str:
    from serving.rollout.live_record import read_record

    if command.client.address is not None:
        raise ArgumentError("name the model with --model: only the server at --address knows it.")
    models = list(read_record(command.server.model_store))
    if len(models) != 1:
        raise ArgumentError(
            f"{len(models)} models are live ({', '.join(models) or 'none'}); name one with --model."
        )
    return models[0]


@contextmanager
def _progress(count: int) -> Iterator[Callable[[], object]]:
    """Yield what to call after each photo; on a terminal a bar moves, elsewhere nothing is shown."""
    if count < 2 or not stderr.is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    # Lines for a terminal go above the bar; lines for a file or a pipe must not come near it.
    bar = Progress(
        BarColumn(), MofNCompleteColumn(), "photos", TimeRemainingColumn(),
        console=stderr, transient=True, redirect_stdout=sys.stdout.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=count)
        yield lambda: bar.advance(task)
