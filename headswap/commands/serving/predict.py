"""Classify photos: files, folders (searched recursively), or - for standard input.

Example:
    headswap predict photo.jpg
    headswap predict photos/ --transport grpc --top-k 3 --json > answers.jsonl
    headswap predict photos/ --csv --explain heat/ > answers.csv
    HEADSWAP_TOKEN=... headswap predict photos/ --address https://host:8080 --model clothing

A photo that cannot be classified is reported on standard error and the others are still sent; the exit code is then 1.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from headswap.errors import ArgumentError
from headswap.options import ClientOptions, PhotoPaths, ServerOptions, Transport
from headswap.output import print_error, stderr
from headswap.photo_paths import NamedPhoto, find_photos
from headswap.prediction_format import FormatName, prediction_format

if TYPE_CHECKING:
    from serving.client import Client, Prediction

# One lost connection may be the photo's fault; this many in a row are the server's.
GIVE_UP_AFTER = 10


@dataclass(frozen=True, kw_only=True)
class Command:
    photos: tyro.conf.Positional[PhotoPaths]
    """Files, folders, or - for standard input."""
    model: str | None = None
    """The model; required with --address, and if several models are live."""
    version: str | None = None
    """A loaded version to use instead of the live one."""
    transport: Transport = "http"
    """Transport of the requests."""
    top_k: int = 3
    """Number of most likely classes per photo."""
    json: bool = False
    """Print one line of JSON per photo instead of text."""
    csv: bool = False
    """Print CSV with a header line and one line per photo instead of text."""
    explain: Path | None = None
    """Folder for one PNG per photo: what the network saw, with a heat map of the regions that support the top class."""
    in_flight: int = 8
    """Number of concurrent requests."""
    client: ClientOptions = field(default_factory=ClientOptions)
    server: ServerOptions = field(default_factory=ServerOptions)

    @property
    def format_name(self) -> FormatName:
        return "json" if self.json else "csv" if self.csv else "text"


@dataclass(frozen=True, kw_only=True)
class Classified:
    prediction: "Prediction"
    explanation: Path | None


def run(command: Command) -> int:
    from serving.client import map_in_order

    _check(command)
    photos = find_photos(command.photos)
    model = command.model or _only_model(command)
    output = prediction_format(command.format_name, top_k=command.top_k)
    failures = _Failures()
    if sys.stdout.encoding.lower() == "utf-8":
        # Linux file names are bytes; those that are not UTF-8 are printed unchanged.
        sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    with (
        command.client.connect(
            command.server, command.transport, connections=command.in_flight
        ) as client,
        _progress(len(photos)) as advance,
        closing(
            map_in_order(
                lambda numbered: _classify(client, command, model, *numbered),
                enumerate(photos),
                in_flight=command.in_flight,
            )
        ) as results,
    ):
        sys.stdout.write(output.header())
        for photo, result in zip(photos, results, strict=True):
            if isinstance(result, Exception):
                sys.stdout.write(output.failure(photo.name, result))
                failures.add(photo.name, result)
            else:
                failures.in_a_row = 0
                sys.stdout.write(output.success(photo.name, result.prediction, result.explanation))
            advance()
    if failures.count and len(photos) > 1:
        print_error(f"{failures.count} of {len(photos)} photos could not be classified")
    return 1 if failures.count else 0


class _Failures:
    def __init__(self) -> None:
        self.count = 0
        self.in_a_row = 0

    def add(self, name: str, error: Exception) -> None:
        """Report the photo on standard error. Raises the error itself if every other photo would fail as well."""
        from serving.errors import NotFoundError, RequestError, UnauthorisedError, UnreachableError

        if not isinstance(error, (RequestError, OSError)):
            raise error
        self.count += 1
        self.in_a_row = self.in_a_row + 1 if isinstance(error, UnreachableError) else 0
        if isinstance(error, (NotFoundError, UnauthorisedError)) or self.in_a_row == GIVE_UP_AFTER:
            raise error
        print_error(f"{name}: {error}")


def _classify(
    client: "Client", command: Command, model: str, number: int, photo: NamedPhoto
) -> Classified:
    data = photo.read()
    prediction = client.predict(model, data, top_k=command.top_k, version=command.version)
    if command.explain is None:
        return Classified(prediction=prediction, explanation=None)
    # Numbered, because several folders may have photos of the same name.
    explanation = command.explain / f"{number + 1:06}-{Path(photo.name).stem}.png"
    # The version that answered: a swap between the two requests must not explain another network's prediction.
    png = client.explain_png(
        model, data, class_name=prediction.top.label, version=prediction.version
    )
    explanation.write_bytes(png)
    return Classified(prediction=prediction, explanation=explanation)


def _check(command: Command) -> None:
    if command.json and command.csv:
        raise ArgumentError("--json and --csv cannot be combined; give one of them.")
    for flag, value in (("--top-k", command.top_k), ("--in-flight", command.in_flight)):
        if value < 1:
            raise ArgumentError(f"{flag} must be 1 or more, not {value}.")
    if command.explain is not None:
        command.explain.mkdir(parents=True, exist_ok=True)


def _only_model(command: Command) -> str:
    from serving.rollout.live_record import read_record

    if command.client.address is not None:
        raise ArgumentError(
            "--address needs --model: the models of another server are not known here."
        )
    models = list(read_record(command.server.model_store))
    if len(models) != 1:
        raise ArgumentError(
            f"{len(models)} models are live ({', '.join(models) or 'none'}); choose one with --model."
        )
    return models[0]


@contextmanager
def _progress(count: int) -> Iterator[Callable[[], object]]:
    """Yield what to call after each photo: it advances a progress bar on a terminal, and does nothing elsewhere."""
    if count < 2 or not stderr.is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    # Lines for a terminal are printed above the bar; lines for a file or a pipe must not pass through it.
    bar = Progress(
        BarColumn(), MofNCompleteColumn(), "photos", TimeRemainingColumn(),
        console=stderr, transient=True, redirect_stdout=sys.stdout.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=count)
        yield lambda: bar.advance(task)
