"""What each step of an improvement does: labels, train, evaluate, export, promote, bake."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from handlers.contract import archive_file_name
from headswap.improve.errors import NotBetterError
from headswap.improve.journal import Result, Step
from headswap.improve.measuring import link_old_test, measure_new, measure_old
from headswap.improve.new_labels import NewLabels
from headswap.improve.origin import LiveVersion
from headswap.improve.snapshot import TEST, TRAIN, link_all

if TYPE_CHECKING:
    from serving.rollout.session import ServerSession
    from serving.rollout.trust import Trust
    from training.run import Run

LIVE_WEIGHTS = "live.safetensors"
OLD_TEST_LABELS = "old_test.csv"


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """What the steps share: where they write, from what they start, and what the new version must hold."""

    folder: Path
    captured: Path
    run: "Run"
    """The run that the live version was exported from: its settings and its photos."""
    live: LiveVersion
    version: str
    model_store: Path
    new_labels: NewLabels
    counts: Mapping[str, int] | None
    """Of the photos to train on and to be measured on, once they are linked."""
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
        return self.model_store / archive_file_name(self.live.name, self.version)

    def steps(self) -> Sequence[Step]:
        """Return the steps, in their order."""
        added = "" if self.counts else self.new_labels.describe_added()
        counts = self.counts or self.new_labels.counts()
        return (
            Step(
                name="labels",
                plan=f"link {counts[TRAIN]} labelled photos of {self.captured} to train on, and {counts[TEST]} to be "
                f"measured on{added}",
                run=self._link_labels,
            ),
            Step(
                name="train",
                plan=f"train from the weights of {self.live.archive.name}, on the photos of {self.run.folder} and the "
                "new ones",
                run=self._train,
            ),
            Step(
                name="evaluate",
                plan="measure it on the old test photos, and both versions on the new ones, where it has to be better",
                run=self._evaluate,
            ),
            Step(name="export", plan=f"write {self.archive}", run=self._export),
            Step(
                name="promote",
                plan=f"make it live if it is at most {self.max_drop:g} worse on the old test photos",
                run=self._promote,
            ),
            Step(
                name="bake",
                plan=f"watch it for {self.bake_s:g} s and roll back at the first fault",
                run=self._bake,
            ),
        )

    def _link_labels(self) -> Result:
        link_all(self.new_labels.files, self.labels)
        return self.new_labels.counts()

    def _train(self) -> Result:
        from training.errors import ConfigError, RunError
        from training.fit.trainer import train
        from training.run import Run

        self._write_live_weights()
        run = Run(folder=self.new_run)
        can_resume = run.last_path.exists() and run.config_path.exists()
        if not can_resume:
            shutil.rmtree(self.new_run, ignore_errors=True)
        config = replace(
            self.run.config(),
            out=self.new_run,
            weights=str(self.folder / LIVE_WEIGHTS),
            also=self.labels / TRAIN,
            # Only those that the labels were checked for.
            new_classes=True,
            resume=can_resume,
        )
        try:
            train(config)
        except (RunError, ConfigError) as error:
            if not can_resume:
                raise
            # Photos were added or removed since the call that was killed.
            self.report(f"the training begins again: {error}")
            config = replace(config, resume=False)
            shutil.rmtree(self.new_run)
            train(config)
        return {"run": str(self.new_run)}

    def _write_live_weights(self) -> None:
        """Write the live version's weights, its classes named, so that the head's rows are kept."""
        from safetensors.torch import load, save

        from serving.archive.reader import open_packed
        from storage.atomic import atomic_write
        from training.fit.pretrained import CLASS_NAMES

        with open_packed(self.live.archive) as packed:
            state = load(packed.read("weights.safetensors"))
        notes = {CLASS_NAMES: json.dumps(self.live.class_names)}
        atomic_write(self.folder / LIVE_WEIGHTS, save(state, metadata=notes))

    def _evaluate(self) -> Result:
        from training.evaluation.evaluation import evaluate
        from training.run import Run

        evaluate(self.new_run)
        run = Run(folder=self.new_run)
        self._check_classes(run)
        old = measure_old(run, self.live.class_names)
        new, live = measure_new(
            run, self.live.class_names, self.folder / LIVE_WEIGHTS, self.labels / TEST
        )
        self.report(
            f"{self.version} is right on {old.right / old.n:.3f} of {old.n} old test photos, and on {new.right} of "
            f"{new.n} new ones; the live version on {live.right} of these"
        )
        if new.right < live.right or new.right == live.right < new.n:
            raise NotBetterError(
                f"{self.live.name} {self.version} is right on {new.right} of the {new.n} new photos, and the live "
                f"version on {live.right}: it was not promoted. Label more photos."
            )
        return {
            "old": old.right / old.n, "old_n": old.n,
            "right": new.right, "live_right": live.right, "n": new.n,
        }  # fmt: skip

    def _check_classes(self, run: "Run") -> None:
        lost = set(self.live.class_names) - set(run.data()["class_names"])
        if lost:
            raise NotBetterError(
                f"no photo of the class {', '.join(map(repr, sorted(lost)))} is left to train on, which "
                f"{self.live.name} {self.live.version} has. Label photos of it."
            )

    def _export(self) -> Result:
        from serving.rollout.live_record import refuse_overwrite
        from storage.atomic import atomic_write
        from training.export.archive import export_archive
        from training.export.model_config import read_model_config

        refuse_overwrite(self.model_store, self.live.name, self.version)
        # As large as a network, and the step evaluate was the last to read it.
        (self.folder / LIVE_WEIGHTS).unlink(missing_ok=True)
        config_path = self.folder / "model-config.yaml"
        atomic_write(config_path, self.live.model_config)
        config = read_model_config(config_path)
        export_archive(
            self.new_run,
            name=self.live.name,
            version=self.version,
            model_store=self.model_store,
            model_config=config,
            precision="int8" if self.live.precision == "int8" else "float32",
            cpu_engine="mnn" if config.get("handler", {}).get("engine") == "mnn" else "auto",
            # That of a call that was killed before it could record that it was done.
            overwrite=True,
            report=self.report,
        )
        return {"archive": str(self.archive)}

    def _promote(self) -> Result:
        from serving.rollout.gates import Gates
        from serving.rollout.live_record import read_record
        from serving.rollout.promotion import PromotionOptions, promote
        from training.run import Run

        live = read_record(self.model_store)[self.live.name].live.version
        if live == self.version:
            return {"live": self.version}
        if live != self.live.version:
            raise NotBetterError(
                f"{self.live.name} {live} was made live meanwhile, and {self.version} was measured against "
                f"{self.live.version}: it was not promoted. Call again to begin from {live}."
            )
        table = self.folder / OLD_TEST_LABELS
        link_old_test(Run(folder=self.new_run), self.live.class_names, self.old_test, table)
        options = PromotionOptions(
            # Classes were only added, as the step evaluate has checked.
            allow_class_change=True,
            trust=self.trust,
            gates=Gates(data=self.old_test, labels=table, max_drop=self.max_drop),
            why=f"improved by the labels in {self.captured}",
        )
        with self.open_session() as session:
            promote(session, self.archive, report=self.report, options=options)
        return {"live": self.version}

    def _bake(self) -> Result:
        from serving.archive.reader import read_archive
        from serving.rollout.bake import bake
        from serving.rollout.live_record import read_record

        live = read_record(self.model_store)[self.live.name].live.version
        if live != self.version:
            raise NotBetterError(
                f"{self.live.name} {live} was made live instead of {self.version}."
            )
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
