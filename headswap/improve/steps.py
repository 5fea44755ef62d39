"""What each step of an improvement does: labels, train, evaluate, export, promote, bake."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capture.labels import LabelBook
from headswap.improve.journal import Result, Step
from headswap.improve.snapshot import TEST, TRAIN, link_all, link_labels

if TYPE_CHECKING:
    from serving.rollout.session import ServerSession
    from serving.rollout.trust import Trust

LIVE_WEIGHTS = "live.safetensors"


class NotBetterError(Exception):
    """The new version does not improve on the live one, which serves on."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """What the steps share: where they write, from what they start, and what the new version must hold."""

    folder: Path
    captured: Path
    run: Path
    """The run that the live version was exported from: its settings and its photos."""
    name: str
    live: Path
    """The live archive."""
    version: str
    model_store: Path
    share: float
    max_drop: float
    bake_s: float
    trust: "Trust"
    open_session: Callable[[], "ServerSession"]
    report: Callable[[str], None]

    @property
    def new_run(self) -> Path:
        return self.folder / "run"

    @property
    def labels(self) -> Path:
        return self.folder / "labels"

    @property
    def old_test(self) -> Path:
        return self.folder / "old_test"

    @property
    def archive(self) -> Path:
        from handlers.contract import archive_file_name

        return self.model_store / archive_file_name(self.name, self.version)

    def steps(self) -> Sequence[Step]:
        """Return the steps, in their order."""
        drop = f"at most {self.max_drop:g} worse on the old test photos"
        return (
            Step(
                name="labels",
                plan=f"link the labelled photos of {self.captured}, a share of {self.share:g} to be measured on",
                run=self._link_labels,
            ),
            Step(
                name="train",
                plan=f"train from the weights of {self.live.name}, on the photos of {self.run} and the new ones",
                run=self._train,
            ),
            Step(
                name="evaluate",
                plan="measure it on the old test photos, and both versions on the new ones, where it has to be better",
                run=self._evaluate,
            ),
            Step(name="export", plan=f"write {self.archive}", run=self._export),
            Step(name="promote", plan=f"make it live if it is {drop}", run=self._promote),
            Step(
                name="bake",
                plan=f"watch it for {self.bake_s:g} s and roll back at the first fault",
                run=self._bake,
            ),
        )

    def _link_labels(self) -> Result:
        labels = LabelBook(self.captured).read().values()
        counts = link_labels(self.captured, labels, self.labels, share=self.share)
        if not counts[TRAIN] or not counts[TEST]:
            raise NotBetterError(
                f"{counts[TRAIN] + counts[TEST]} labels are too few: {counts[TRAIN]} to train on and {counts[TEST]} to "
                "be measured on. Label more photos."
            )
        return counts

    def _train(self) -> Result:
        from serving.archive.reader import open_packed
        from storage.atomic import atomic_write
        from training.fit.trainer import train
        from training.run import Run

        with open_packed(self.live) as packed:
            atomic_write(self.folder / LIVE_WEIGHTS, packed.read("weights.safetensors"))
        run, before = Run(folder=self.new_run), Run(folder=self.run).config()
        can_resume = run.last_path.exists()
        if not can_resume:
            shutil.rmtree(self.new_run, ignore_errors=True)
        config = replace(
            before,
            out=self.new_run,
            weights=str(self.folder / LIVE_WEIGHTS),
            also=self.labels / TRAIN,
            resume=can_resume,
        )
        train(config)
        return {"run": str(self.new_run)}

    def _evaluate(self) -> Result:
        from training.evaluation.evaluation import evaluate
        from training.run import Run

        evaluation = evaluate(self.new_run)
        new = self._accuracies_on_new(Run(folder=self.new_run))
        result = {"old": evaluation.accuracy, "old_n": evaluation.n, **new}
        self.report(
            f"{self.version} is right on {evaluation.accuracy:.3f} of {evaluation.n} old test photos, and on "
            f"{new['right']} of {new['n']} new ones; the live version on {new['live_right']} of these"
        )
        if new["right"] <= new["live_right"] < new["n"] or new["right"] < new["live_right"]:
            raise NotBetterError(
                f"{self.name} {self.version} is right on {new['right']} of the {new['n']} new photos, and the live "
                f"version on {new['live_right']}: it was not promoted. Label more photos."
            )
        return result

    def _accuracies_on_new(self, run: Any) -> dict[str, int]:
        """Return of how many photos of the new share each version predicts the class, and how many there are."""
        from safetensors.torch import load_file

        from training.data.also import labelled_photos
        from training.data.dataset import preprocessing_of
        from training.evaluation.evaluation import compute_logits, load_network

        photos = labelled_photos(self.labels / TEST, run.data()["class_names"])
        network, spec = load_network(run), preprocessing_of(run.config())
        logits, labels = compute_logits(network, photos, spec)
        right = int((logits.argmax(1) == labels).sum())
        network.backbone_and_head.load_state_dict(load_file(self.folder / LIVE_WEIGHTS))
        logits, labels = compute_logits(network.eval(), photos, spec)
        return {
            "right": right,
            "live_right": int((logits.argmax(1) == labels).sum()),
            "n": len(photos),
        }

    def _export(self) -> Result:
        from serving.rollout.live_record import refuse_overwrite
        from training.export.archive import export_archive

        refuse_overwrite(self.model_store, self.name, self.version)
        export_archive(
            self.new_run,
            name=self.name,
            version=self.version,
            model_store=self.model_store,
            # That of a call that was killed before it could record that it was done.
            overwrite=True,
            report=self.report,
        )
        return {"archive": str(self.archive)}

    def _promote(self) -> Result:
        from serving.rollout.gates import Gates
        from serving.rollout.live_record import read_record
        from serving.rollout.promotion import PromotionOptions, promote

        deployment = read_record(self.model_store).get(self.name)
        if deployment is not None and deployment.live.version == self.version:
            return {"live": self.version}
        self._link_old_test()
        options = PromotionOptions(
            trust=self.trust,
            gates=Gates(data=self.old_test, max_drop=self.max_drop),
            why=f"improved by the labels in {self.captured}",
        )
        with self.open_session() as session:
            promote(session, self.archive, report=self.report, options=options)
        return {"live": self.version}

    def _link_old_test(self) -> None:
        from training.own_photos import read_own_photos
        from training.run import Run

        photos = read_own_photos(Run(folder=self.new_run))
        files = [(p.path, Path(photos.class_names[p.label])) for p in photos.of("test")]
        link_all(files, self.old_test)

    def _bake(self) -> Result:
        from serving.archive.reader import read_archive
        from serving.rollout.bake import bake
        from serving.rollout.live_record import read_record

        live = read_record(self.model_store)[self.name].live.version
        if live != self.version:
            raise NotBetterError(f"{self.name} {live} was made live instead of {self.version}.")
        if self.bake_s:
            with self.open_session() as session:
                bake(
                    session,
                    read_archive(self.archive),
                    seconds=self.bake_s,
                    max_p99_ms=None,
                    report=self.report,
                )
        return {"seconds": self.bake_s}
