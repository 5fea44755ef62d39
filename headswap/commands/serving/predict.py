"""Classify photos: files, folders (searched recursively), or - for standard input.

Example:
    headswap predict photo.jpg
    headswap predict photos/ --transport grpc --top-k 3 --json > answers.jsonl
    headswap predict photos/ --csv --explain heat/ > answers.csv
    HEADSWAP_TOKEN=... headswap predict photos/ --address https://host:8080 --model clothing

Without a server, millions of photos into Parquet files; the same command again goes on where it was:
    headswap predict photos/ --archive clothing-1.0.mar --out answers/
    headswap predict s3://bucket/photos --archive clothing-1.0.mar --out answers/ --cluster auto

A photo that cannot be classified is reported on standard error and the others are still sent; the exit code is then 1.
"""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from headswap.batch_options import BatchOptions
from headswap.errors import ArgumentError
from headswap.options import ClientOptions, PhotoPaths, ServerOptions, Transport
from headswap.output import print_error
from headswap.photo_paths import NamedPhoto, explanation_path, find_photos
from headswap.prediction_format import FormatName, PredictionFormat, prediction_format
from headswap.progress import progress

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
    batch: BatchOptions = field(default_factory=BatchOptions)
    client: ClientOptions = field(default_factory=ClientOptions)
    server: ServerOptions = field(default_factory=ServerOptions)

    @property
    def format_name(self) -> FormatName:
        return "json" if self.json else "csv" if self.csv else "text"


@dataclass(frozen=True, kw_only=True)
class Classified:
    prediction: "Prediction"
    explanation: Path | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a photo."""

    name: str
    outcome: Classified | Exception


Results = Iterator[tuple[int, Iterator[Result]]]
"""A context in which there are the number of photos, and their results in order."""


def run(command: Command) -> int:
    _check(command)
    batch = command.batch
    if batch.out is not None:
        from headswap.batch_predict import predict_into_folder

        return predict_into_folder(command.photos, batch, top_k=command.top_k)
    with _from_server(command) if batch.archive is None else _from_archive(command) as results:
        return _print_all(*results, prediction_format(command.format_name, top_k=command.top_k))


def _print_all(count: int, results: Iterator[Result], output: PredictionFormat) -> int:
    """Print each result as it comes and return the exit code."""
    failures = _Failures()
    if sys.stdout.encoding.lower() == "utf-8":
        # Linux file names are bytes; those that are not UTF-8 are printed unchanged.
        sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    with progress(count) as advance:
        sys.stdout.write(output.header())
        for result in results:
            if isinstance(result.outcome, Exception):
                sys.stdout.write(output.failure(result.name, result.outcome))
                failures.add(result.name, result.outcome)
            else:
                failures.in_a_row = 0
                classified = result.outcome
                sys.stdout.write(
                    output.success(result.name, classified.prediction, classified.explanation)
                )
            advance(1)
    if failures.count and count > 1:
        print_error(f"{failures.count} of {count} photos could not be classified")
    return 1 if failures.count else 0


@contextmanager
def _from_server(command: Command) -> Results:
    from serving.client import map_in_order

    photos = find_photos(command.photos)
    model = command.model or _only_model(command)
    with (
        command.client.connect(
            command.server, command.transport, connections=command.in_flight
        ) as client,
        closing(
            map_in_order(
                lambda numbered: _classify(client, command, model, *numbered),
                enumerate(photos, start=1),
                in_flight=command.in_flight,
            )
        ) as outcomes,
    ):
        yield (
            len(photos),
            (
                Result(name=photo.name, outcome=outcome)
                for photo, outcome in zip(photos, outcomes, strict=True)
            ),
        )


@contextmanager
def _from_archive(command: Command) -> Results:
    from headswap.batch_predict import answers

    with answers(command.photos, command.batch, top_k=command.top_k, explain=command.explain) as (
        count,
        answered,
    ):
        yield (
            count,
            (
                Result(
                    name=each.name,
                    outcome=each.result
                    if isinstance(each.result, Exception)
                    else Classified(prediction=each.result, explanation=each.explanation),
                )
                for each in answered
            ),
        )


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
    explanation = explanation_path(command.explain, number, photo.name)
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
    command.batch.check()
    if command.batch.archive is not None:
        _check_without_server(command)
    if command.explain is not None:
        command.explain.mkdir(parents=True, exist_ok=True)


def _check_without_server(command: Command) -> None:
    for flag, value in (
        ("--address", command.client.address),
        ("--model", command.model),
        ("--version", command.version),
    ):
        if value is not None:
            raise ArgumentError(f"--archive needs no server, so {flag} cannot be given with it.")
    if command.batch.out is not None and (command.json or command.csv or command.explain):
        raise ArgumentError(
            "--out writes Parquet files; --json, --csv and --explain cannot be given with it."
        )


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
