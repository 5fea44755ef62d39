"""The whole loop: a poor version serves, photos are captured, some labelled, and a better version goes live."""

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from capture.labels import LabelBook
from capture.order import to_review
from handlers.capture.layout import PHOTOS
from handlers.capture.settings import CaptureSettings
from headswap.commands.learning import improve, review
from headswap.errors import ArgumentError
from headswap.improve.steps import Improvement
from headswap.options import ServerOptions
from page.context import PageContext
from serving.client import HttpClient
from serving.client.tokens import read_token
from serving.rollout.live_record import read_record
from serving.rollout.session import ServerSession
from serving.rollout.startup import choose_live
from serving.server.server import Server
from serving.settings import ServerSettings
from tests.e2e.headswap.conftest import SAMPLE, write_config
from tests.integration.page.conftest import chromium, serving_page, sign_in

# So many that the new version is better on the fifth of them by more than chance.
SENT, LABELLED = 200, 100
POINTS = 0.05
# What the poor version has not learned.
NEW = "t-shirt"


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a network that learned two photos per class, of all classes but one."""
    from training.config import quick
    from training.evaluation.evaluation import evaluate
    from training.fit.trainer import train

    folder = tmp_path_factory.mktemp("poor")
    for source in sorted((SAMPLE / "test").glob("*/*.jpg")):
        split = "val" if int(source.stem) < 6 else "test"
        # Those of the new class are evaluated by the test alone.
        place = "new" if source.parent.name == NEW else "photos"
        _copy(source, folder / place / split)
    for source in sorted((SAMPLE / "train").glob("*/00[01].jpg")):
        if source.parent.name != NEW:
            _copy(source, folder / "photos/train")
    config = replace(
        quick(), data=folder / "photos", out=folder / "runs/poor", weights="embedded",
        architecture="resnet18", freeze="backbone", head_epochs=20, image_size_px=96,
    )  # fmt: skip
    train(config)
    evaluate(folder / "runs/poor")
    return folder / "runs/poor"


def _copy(source: Path, split: Path) -> None:
    target = split / source.parent.name / f"{split.name}-{source.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


@pytest.fixture(scope="module")
def serving(poor: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    from serving.settings import load_settings
    from training.export.archive import export_archive

    folder = tmp_path_factory.mktemp("improving")
    settings = load_settings(
        config=write_config(folder / "config.properties"),
        model_store=folder / "store",
        state=folder / "state",
    )
    settings = replace(
        settings, capture=CaptureSettings(folder=str(folder / "captured"), share=1.0)
    )
    archive = export_archive(poor, name="clothing", version="1.0", model_store=folder / "exported")
    choose_live(settings.model_store, [archive])
    with Server(settings) as server:
        server.start()
        server.wait_ready()
        yield settings


def classify(session: requests.Session, settings: ServerSettings, photo: bytes) -> dict[str, Any]:
    """Return the answer to a photo that the server must not keep. Raises requests.RequestException for any failure."""
    response = session.post(
        f"{settings.inference_url}/predictions/clothing",
        data=photo,
        headers={
            "Authorization": f"Bearer {read_token(settings.key_file, 'inference')}",
            "X-Headswap-Capture": "no",
        },
        timeout=30,
    )
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def accuracy(settings: ServerSettings, photos: list[Path]) -> float:
    with requests.Session() as session:
        answers = [classify(session, settings, photo.read_bytes()) for photo in photos]
    right = [
        a["predictions"][0]["label"] == p.parent.name for a, p in zip(answers, photos, strict=True)
    ]
    return sum(right) / len(right)


class Traffic:
    """One request after the other, until it is stopped; what fails is kept."""

    def __init__(self, settings: ServerSettings, photo: bytes) -> None:
        self._settings, self._photo = settings, photo
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answered, self.failures = 0, list[requests.RequestException]()
        self.versions = set[str]()

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._stopping.is_set():
                try:
                    answer = classify(session, self._settings, self._photo)
                    self.versions.add(answer["model"]["version"])
                    self.answered += 1
                except requests.RequestException as error:
                    self.failures.append(error)


def test_a_served_model_learns_from_what_it_serves(
    poor: Path,
    serving: ServerSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert serving.capture is not None
    captured = Path(serving.capture.folder)
    test = sorted(poor.parents[1].glob("*/test/*/*.jpg"))
    # What was trained on is not among them.
    photos = [p for p in sorted((SAMPLE / "train").glob("*/*.jpg")) if int(p.stem) >= 2]
    by_class = sorted(photos, key=lambda path: (path.stem, path.parent.name))
    sent = by_class[:SENT]
    before = accuracy(serving, test)
    with HttpClient(serving) as client:
        for photo in sent:
            client.predict("clothing", photo.read_bytes())
    wait_until_captured(captured)

    assert review.run(review.Command(captured=captured, suggest=LABELLED)) == 0
    class_of = {sha256(path.read_bytes()).hexdigest(): path.parent.name for path in sent}
    label_on_the_page(serving, captured, class_of)

    command = improve.Command(
        captured=captured,
        bake=2,
        server=ServerOptions(
            config=serving.config, model_store=serving.model_store, state=serving.state
        ),
    )
    monkeypatch.chdir(poor.parents[1])
    with pytest.raises(ArgumentError, match="Give --new-classes"):
        improve.run(command)
    command = replace(command, new_classes=True)
    there = sorted(captured.rglob("*"))
    assert improve.run(replace(command, dry_run=True)) == 0
    assert f"with the new class {NEW}" in capsys.readouterr().out
    assert sorted(captured.rglob("*")) == there
    with Traffic(serving, test[0].read_bytes()) as traffic:
        killed_at_each_step(command, serving, monkeypatch)
        assert improve.run(command) == 0
    assert traffic.failures == []
    assert traffic.versions == {"1.0", "1.1"}
    assert read_record(serving.model_store)["clothing"].live.version == "1.1"
    assert len(LabelBook(captured).read()) == LABELLED
    after = accuracy(serving, test)
    print(
        f"accuracy {before:.3f} -> {after:.3f} on {len(test)} photos, {traffic.answered} answered"
    )
    assert after >= before + POINTS


def label_on_the_page(settings: ServerSettings, captured: Path, class_of: dict[str, str]) -> None:
    """Label the photos that the page shows, in its order, by keyboard; `class_of` is by the sha256 of what was sent."""
    context = PageContext(
        settings=settings,
        open_session=lambda: ServerSession(settings),
        open_log=lambda *_: nullcontext(lambda _: None),
        capture=captured,
    )
    sent_as = {photo.sha256: photo.sent_sha256 for photo in to_review(captured)}
    with serving_page(context) as url, chromium() as browser:
        window = browser.new_context(base_url=url)
        page = sign_in(
            window.new_page(), "/review", token=read_token(settings.key_file, "management")
        )
        for number in range(LABELLED):
            expect(page.locator("#progress")).to_have_text(re.compile(f"^{number} labelled"))
            photo = (page.locator("#picture").get_attribute("src") or "").rpartition("/")[2]
            press_class(page, class_of[sent_as[photo]])
        expect(page.locator("#progress")).to_have_text(re.compile(f"^{LABELLED} labelled"))
        window.close()


def press_class(page: Page, name: str) -> None:
    """Press the key of a class; the first time that a new class appears, type its name."""
    classes = page.locator("#classes bdi").all_text_contents()
    if name in classes:
        page.keyboard.press(str(classes.index(name) + 1))
    else:
        page.keyboard.press("+")
        page.keyboard.type(name)
        page.keyboard.press("Enter")


def wait_until_captured(folder: Path) -> None:
    """Return once the photos that were sent are kept, and no other."""
    deadline = time.monotonic() + 20
    while (count := len(list((folder / PHOTOS).glob("*.jpg")))) != SENT:
        assert time.monotonic() < deadline, count
        time.sleep(0.1)


def killed_at_each_step(
    command: improve.Command, serving: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """End the command before each step up to the promotion, as a kill would; the live version stays."""
    for name in ("_train", "_evaluate", "_export", "_promote"):
        with monkeypatch.context() as patch:

            def kill(_: Improvement) -> None:
                raise KeyboardInterrupt

            patch.setattr(Improvement, name, kill)
            with pytest.raises(KeyboardInterrupt):
                improve.run(command)
        assert read_record(serving.model_store)["clothing"].live.version == "1.0"
    assert os.path.exists(Path(command.captured) / "improvements/1.1/journal.json")
