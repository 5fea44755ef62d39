"""The main job once, on the photos that come with the project: train, serve, swap, roll back.

Example:
    headswap demo
    headswap demo --keep      leaves the server up and prints the curl line to try

Needs about 5 minutes on two cores. What it measured lies in runs/demo/summary.json.
"""

import json
import shutil
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headswap.options import ServerOptions
from headswap.output import stdout
from headswap.promotion_log import PromotionLog

if TYPE_CHECKING:
    from serving.rollout.promotion import PromotionResult
    from serving.server.server import Server
    from serving.settings import ServerSettings
    from training.config import TrainConfig

SAMPLE = Path(__file__).parents[2] / "sample_data" / "clothing"
MODEL = "clothing"
PHOTOS_SHOWN = 5
CONNECTIONS = 4
REQUESTS_BEFORE = 100
REQUESTS_AFTER = 150


@dataclass(frozen=True, kw_only=True)
class Command:
    keep: bool = False
    """Leave the server up at the end, until Ctrl-C, and print the curl line to try."""
    out: Path = Path("runs/demo")
    """Folder of the two runs and of summary.json; what an earlier demo left there is replaced."""
    server: ServerOptions = field(default_factory=ServerOptions)


def run(command: Command) -> int:
    from serving.server.server import Server, choose_live
    from training.distributed import refuse_several

    refuse_several("demo")
    began = time.monotonic()
    settings = command.server.settings()
    signal.signal(signal.SIGTERM, _as_interrupt)
    _clear(command, settings)
    first, second = command.out / "efficientnet_b0", command.out / "resnet18"
    evaluation = _make_version(_first_config(first), "1.0", settings.model_store)
    with Server(settings) as server:
        _say(4, "start TorchServe and wait until it answers rightly")
        choose_live(settings, [settings.model_store / f"{MODEL}-1.0.mar"])
        server.start()
        server.wait_ready()
        answers = _compare_transports(settings)
        _say(6, "train a second version, promote it under load, roll back under load")
        _make_version(_second_config(second), "2.0", settings.model_store)
        swaps = _swap_and_back(settings)
        summary = {
            "test_accuracy": evaluation.accuracy,
            "test_n": evaluation.n,
            **answers,
            **swaps,
            "wall_s": round(time.monotonic() - began, 1),
        }
        (command.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        if command.keep:
            _keep(settings, server)
    _say(7, f"stopped; {command.out / 'summary.json'} after {summary['wall_s']:.0f} s")
    return 0


def _first_config(out: Path) -> "TrainConfig":
    from training.config import quick

    return replace(quick(), data=SAMPLE, out=out, weights="embedded")


def _second_config(out: Path) -> "TrainConfig":
    config = _first_config(out)
    return replace(config, architecture="resnet18", freeze="body", head_epochs=20)


def _make_version(config: "TrainConfig", version: str, model_store: Path) -> Any:
    """Train, judge and export one version; return its evaluation."""
    from headswap.commands.training.evaluate import show
    from training.evaluation.evaluation import evaluate
    from training.evaluation.report import write_report
    from training.export.archive import export_archive
    from training.fit.trainer import train

    _say(
        1,
        f"fine-tune {config.architecture} from the embedded weights ({config.freeze=})".replace(
            "config.", ""
        ),
    )
    train(config)
    _say(2, "judge it on the test photos")
    evaluation = evaluate(config.out)
    show(evaluation)
    stdout.print(f"report: {write_report(config.out)}")
    _say(3, f"export {MODEL} {version}")
    archive = export_archive(
        config.out, name=MODEL, version=version, model_store=model_store, overwrite=True
    )
    stdout.print(str(archive))
    return evaluation


def _compare_transports(settings: "ServerSettings") -> dict[str, list[str]]:
    """Print the top 3 of a few photos over both transports and return the first guesses of each."""
    from rich.table import Table

    from serving.client import GrpcClient, HttpClient, top_labels

    _say(5, "classify photos over HTTP and gRPC")
    photos = _test_photos()
    with HttpClient(settings) as http, GrpcClient(settings) as grpc:
        by_http = [http.predict(MODEL, photo.read_bytes(), top_k=3) for photo in photos]
        by_grpc = [grpc.predict(MODEL, photo.read_bytes(), top_k=3) for photo in photos]
    table = Table("photo", "HTTP", "gRPC", "agree")
    for photo, one, other in zip(photos, by_http, by_grpc, strict=True):
        told = [
            ", ".join(f"{g.label} {g.probability:.2f}" for g in answer.scores)
            for answer in (one, other)
        ]
        table.add_row(f"{photo.parent.name}/{photo.name}", *told, "yes" if one == other else "NO")
    stdout.print(table)
    return {"http_top1": top_labels(by_http), "grpc_top1": top_labels(by_grpc)}


def _swap_and_back(settings: "ServerSettings") -> dict[str, dict[str, Any]]:
    from serving.rollout.promotion import promote, rollback

    archive = settings.model_store / f"{MODEL}-2.0.mar"
    with PromotionLog(settings, "promote", subject=str(archive)) as report:
        there = _under_load(settings, lambda: promote(settings, archive, report=report))
    with PromotionLog(settings, "rollback", subject=MODEL) as report:
        back = _under_load(settings, lambda: rollback(settings, MODEL, report=report))
    return {"promote": there, "rollback": back}


def _under_load(settings: "ServerSettings", swap: "Any") -> dict[str, Any]:
    """Swap while requests keep coming and return what became of them."""
    from serving.client import HttpClient
    from serving.loadtest.load import Load

    photos = [photo.read_bytes() for photo in _test_photos()]
    with Load(lambda: HttpClient(settings), MODEL, photos, connections=CONNECTIONS) as load:
        load.wait_for_requests(REQUESTS_BEFORE)
        done: PromotionResult = swap()
        load.wait_for_requests(load.tally.requests + REQUESTS_AFTER)
    tally = load.tally
    by_version = ", ".join(
        f"{version}: {count}" for version, count in sorted(tally.answered_by.items())
    )
    stdout.print(
        f"{done.model} {done.live} is live; {tally.requests} requests, {tally.failed} failed ({by_version})"
    )
    return {"requests": tally.requests, "failed": tally.failed, "seconds": round(done.seconds, 3)}


def _test_photos() -> list[Path]:
    return [sorted(folder.glob("*.jpg"))[0] for folder in sorted((SAMPLE / "test").iterdir())][
        :PHOTOS_SHOWN
    ]


def _clear(command: Command, settings: "ServerSettings") -> None:
    """Forget an earlier demo: its runs, its archives and what the record says of them."""
    from serving.rollout.live_record import locked, read_record, write_record

    for name in ("efficientnet_b0", "resnet18", "summary.json"):
        path = command.out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with locked(settings.model_store):
        record = read_record(settings.model_store)
        if record.pop(MODEL, None) is not None:
            write_record(settings.model_store, record)
    for version in ("1.0", "2.0"):
        (settings.model_store / f"{MODEL}-{version}.mar").unlink(missing_ok=True)


def _keep(settings: "ServerSettings", server: "Server") -> None:
    stdout.print(
        f'The server is up until Ctrl-C. Try:\ncurl -H "Authorization: Bearer $(headswap token)" '
        f"-T {_test_photos()[0]} {settings.inference_url}/predictions/{MODEL}"
    )
    try:
        while server.exit_code() is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        stdout.print("stopping")


def _as_interrupt(*_: object) -> None:
    """End on TERM as on Ctrl-C, so that the server is stopped on the way out."""
    raise KeyboardInterrupt


def _say(step: int, what: str) -> None:
    stdout.rule(f"{step}/7 {what}", align="left")
