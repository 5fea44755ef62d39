"""Run the whole workflow once on the photos that come with the project: train, serve, swap versions, roll back.

Example:
    headswap demo
    headswap demo --keep      leaves the server running and prints how to reach it

Takes about 5 minutes on two cores. Its server has ports, a model store and a state folder of its own in --out, so that
it neither disturbs a running server nor touches your archives. The measurements are in runs/demo/summary.json.
"""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headswap.demo_folder import DemoFolder
from headswap.options import path_option
from headswap.output import print_table, stdout
from headswap.promotion_log import PromotionLog

if TYPE_CHECKING:
    from serving.rollout.session import ServerSession
    from serving.rollout.steps import PromotionResult
    from serving.server.server import Server
    from serving.settings import ServerSettings
    from training.config import TrainConfig
    from training.evaluation.evaluation import Evaluation

SAMPLE = Path(__file__).parents[2] / "sample_data" / "clothing"
MODEL = "clothing"
PHOTOS_SHOWN = 5
CONNECTIONS = 4
REQUESTS_BEFORE = 100
REQUESTS_AFTER = 150
STEPS = 7
PAGE_URL = "http://127.0.0.1:8090"


@dataclass(frozen=True, kw_only=True)
class Command:
    keep: bool = False
    """Leave the server running at the end, until Ctrl-C, and print how to reach it."""
    out: Path = Path("runs/demo")
    """Folder for the two runs, the server and summary.json. The results of an earlier demo in it are replaced."""
    config: Path = path_option("HEADSWAP_CONFIG", "config.properties")
    """TorchServe's settings, copied with other ports and without TLS (or set HEADSWAP_CONFIG)."""


def run(command: Command) -> int:
    from serving.rollout.startup import choose_live
    from serving.server.server import Server
    from storage import atomic_write
    from training.distributed import require_single_process

    require_single_process("demo")
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    folder = DemoFolder(command.out)
    settings = folder.create(command.config)
    _say(1, "train, evaluate and export the first version")
    evaluation = _make_version(_first_config(folder.path), "1.0", settings.model_store)
    with Server(settings) as server:
        _say(2, "start TorchServe and wait until it classifies its probe photos correctly")
        choose_live(settings.model_store, [settings.model_store / f"{MODEL}-1.0.mar"])
        server.start()
        server.wait_ready()
        _say(3, "classify photos over HTTP and gRPC")
        top_labels = _compare_transports(server.session)
        _say(4, "train, evaluate and export a second version")
        _make_version(_second_config(folder.path), "2.0", settings.model_store)
        swaps = _swap_and_back(server.session)
        summary = {
            "test_accuracy": evaluation.accuracy,
            "test_n": evaluation.n,
            **top_labels,
            **swaps,
            "wall_s": round(time.monotonic() - started, 1),
        }
        atomic_write(folder.summary, json.dumps(summary, indent=2) + "\n")
        _say(7, f"finished after {summary['wall_s']:.0f} s")
        stdout.print(f"results: {folder.summary}")
        if command.keep:
            _keep(folder, settings, server)
    _say_how_to_open_the_page(command)
    return 0


def _first_config(out: Path) -> "TrainConfig":
    from training.config import quick

    # Three epochs of the whole network reach 0.96 on the 120 test photos; the preset has ten.
    return replace(
        quick(), data=SAMPLE, out=out / "efficientnet_lite1", weights="embedded", epochs=3
    )


def _second_config(out: Path) -> "TrainConfig":
    return replace(
        _first_config(out),
        out=out / "resnet18",
        architecture="resnet18",
        freeze="backbone",
        head_epochs=20,
    )


def _make_version(config: "TrainConfig", version: str, model_store: Path) -> "Evaluation":
    """Train, evaluate and export one version; return its evaluation."""
    from headswap.commands.training.evaluate import show
    from training.evaluation.evaluation import evaluate
    from training.evaluation.report import write_report
    from training.export.archive import export_archive
    from training.fit.trainer import train

    stdout.print(f"{config.architecture}, included pretrained weights, --freeze {config.freeze}")
    train(config)
    evaluation = evaluate(config.out)
    show(evaluation)
    stdout.print(f"report: {write_report(config.out)}")
    archive = export_archive(config.out, name=MODEL, version=version, model_store=model_store)
    stdout.print(f"archive: {archive}")
    return evaluation


def _compare_transports(session: "ServerSession") -> dict[str, list[str]]:
    """Print the top 3 of a few photos over both transports and return the top labels of each."""
    from rich.table import Table

    from serving.client import Prediction

    def describe(prediction: Prediction) -> str:
        return ", ".join(f"{score.label} {score.probability:.2f}" for score in prediction.scores)

    photos = _test_photos()
    by_http = [session.http.predict(MODEL, photo.read_bytes(), top_k=3) for photo in photos]
    by_grpc = [session.grpc.predict(MODEL, photo.read_bytes(), top_k=3) for photo in photos]
    table = Table("photo", "HTTP", "gRPC", "agree")
    for photo, over_http, over_grpc in zip(photos, by_http, by_grpc, strict=True):
        table.add_row(
            f"{photo.parent.name}/{photo.name}", describe(over_http), describe(over_grpc),
            "yes" if over_http == over_grpc else "NO",
        )  # fmt: skip
    print_table(table)
    answers = {"http_top1": by_http, "grpc_top1": by_grpc}
    return {
        key: [prediction.top.label for prediction in predictions]
        for key, predictions in answers.items()
    }


def _swap_and_back(session: "ServerSession") -> dict[str, dict[str, Any]]:
    from serving.rollout.promotion import promote
    from serving.rollout.rollback import rollback

    settings = session.settings
    archive = settings.model_store / f"{MODEL}-2.0.mar"
    _say(5, "promote the second version under load")
    with PromotionLog(settings, "promote", subject=str(archive)) as report:
        there = _under_load(settings, lambda: promote(session, archive, report=report))
    _say(6, "roll back under load")
    with PromotionLog(settings, "rollback", subject=MODEL) as report:
        back = _under_load(settings, lambda: rollback(session, MODEL, report=report))
    return {"promote": there, "rollback": back}


def _under_load(
    settings: "ServerSettings", swap: Callable[[], "PromotionResult"]
) -> dict[str, Any]:
    """Swap while requests keep coming and return how they fared."""
    from serving.client import HttpClient
    from serving.loadtest.load import Load

    photos = [photo.read_bytes() for photo in _test_photos()]
    with Load(lambda: HttpClient(settings), MODEL, photos, connections=CONNECTIONS) as load:
        load.wait_for_requests(REQUESTS_BEFORE)
        result = swap()
        load.wait_for_requests(load.result.requests + REQUESTS_AFTER)
    tally = load.result
    by_version = ", ".join(
        f"{version}: {count}" for version, count in sorted(tally.answered_by.items())
    )
    stdout.print(
        f"{result.model} {result.live} is live; {tally.requests} requests ({by_version}), {tally.failed} failed"
    )
    return {"requests": tally.requests, "failed": tally.failed, "seconds": round(result.seconds, 3)}


def _test_photos() -> list[Path]:
    folders = sorted((SAMPLE / "test").iterdir())[:PHOTOS_SHOWN]
    return [min(folder.glob("*.jpg")) for folder in folders]


def _keep(folder: DemoFolder, settings: "ServerSettings", server: "Server") -> None:
    header = '-H "Authorization: Bearer $(headswap token)" ' if settings.uses_tokens else ""
    stdout.print(
        "The server runs until Ctrl-C. To reach it from another terminal:\n"
        f"{folder.environment()}\n"
        "headswap status\n"
        "headswap page\n"
        f"headswap predict {_test_photos()[0]}\n"
        f"curl {header}-T {_test_photos()[0]} {settings.inference_url}/predictions/{MODEL}"
    )
    try:
        while server.exit_code() is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        stdout.print("stopping")


def _say_how_to_open_the_page(command: Command) -> None:
    """End with the line that serves the demo's versions again, with the page."""
    folder = DemoFolder(command.out)
    stdout.print(
        "to open the page in the browser, try photos and swap the versions yourself:\n"
        f"{folder.environment()}\n"
        f"headswap serve --page      then open {PAGE_URL}; headswap token --management signs you in"
    )


def _interrupt(*_: object) -> None:
    """End on TERM as on Ctrl-C, so that the server is stopped on the way out."""
    raise KeyboardInterrupt


def _say(step: int, title: str) -> None:
    stdout.rule(f"{step}/{STEPS} {title}", align="left")
