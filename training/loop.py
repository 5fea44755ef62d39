"""The training loop: photos in, run folder out.

    headswap train --data photos --out runs/first

Everything an epoch does follows from (config, epoch) and the state at its start: the order, the
crops, the rates, what is frozen, the dropout. So a resumed run is the uninterrupted one, bit for
bit, on the same machine.
"""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional

from handlers.network import Network, build_network
from handlers.preprocessing import PreprocessingSpec
from training.config import TrainConfig
from training.dataset import Batch, TrainingPhotos, served_pixels
from training.errors import ConfigError, DivergedError, InterruptedRunError, RunError
from training.features import compute_features, feature_batches, head_of
from training.optimizer import freeze_body, make_average, make_optimizer, one_cycle
from training.photos import PhotoSet
from training.progress import Progress, show_progress
from training.run import Run, begin_run, check_run, write_beside
from training.source import read_data
from training.starting_weights import load_starting_weights

# Random views a photo contributes to the frozen body's features.
FEATURE_VIEWS = 4
JUDGING_BATCH_SIZE = 64


def train(config: TrainConfig, *, progress: Progress | None = None) -> Path:
    """Return the run folder of a network fine-tuned on the config's photos.

    Raises:
        DataError, WeightsError, ConfigError, DownloadError: what was given cannot be used.
        DivergedError: the loss is no longer a number.
        InterruptedRunError: Ctrl-C; the run can be resumed.
    """
    run = Run(folder=config.out)
    photos = read_data(config)
    check_run(run, config, photos)
    trainer = Trainer(config, photos, run)
    if not config.resume:
        begin_run(run, config, photos, licence_note=trainer.licence_note)
    first_epoch = trainer.resume() if config.resume else 0
    with show_progress(config.total_epochs, first_epoch) if progress is None else progress as shown:
        shown.say(photos.describe())
        try:
            for epoch in range(first_epoch, config.total_epochs):
                shown.epoch(trainer.run_epoch(epoch))
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted; the finished epochs are in {run.folder}. "
                "Go on with the same flags and --resume."
            ) from None
    return run.folder


class Trainer:
    """The state an epoch changes: network, averaged network, optimizer, best score."""

    def __init__(self, config: TrainConfig, photos: PhotoSet, run: Run) -> None:
        self.config, self.run, self.photos = config, run, photos
        self.device = _choose_device(config)
        self.spec = preprocessing_of(config)
        torch.manual_seed(config.seed)
        self.network = build_network(
            architecture=config.architecture,
            class_count=len(photos.class_names),
            preprocessing=self.spec,
        )
        self.licence_note = load_starting_weights(
            self.network.body_and_head, config.weights, architecture=config.architecture
        )
        self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.network, config)
        self.average = make_average(self.network, config)
        self.training_photos = TrainingPhotos(
            photos.of("train"), self.spec, crop_area_min=config.crop_area_min
        )
        self.best_accuracy, self.best_loss = -1.0, math.inf
        self._features: Batch | None = None
        self._val_features: Batch | None = None

    def run_epoch(self, epoch: int) -> dict[str, Any]:
        """Train one epoch, judge it on val, keep the best, and return its line of metrics.jsonl."""
        began = time.perf_counter()
        torch.manual_seed(self.config.seed * 1_000_003 + epoch)
        frozen = self.config.is_body_frozen(epoch)
        freeze_body(self.network, frozen=frozen)
        forward = head_of(self.network) if frozen else self.network.logits
        self.network.train(not frozen)
        loss_sum, seen = 0.0, 0
        batches = list(self._batches(epoch)) if frozen else self._batches(epoch)
        for step, (inputs, labels) in enumerate(batches):
            rate = self._set_rates(epoch, step)
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"
            ):
                logits = forward(inputs.to(self.device))
                loss = functional.cross_entropy(
                    logits, labels.to(self.device), label_smoothing=self.config.label_smoothing
                )
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
            loss_sum, seen = loss_sum + loss.item() * len(labels), seen + len(labels)
        if not math.isfinite(loss_sum):
            raise DivergedError(
                f"the loss became {loss_sum} in epoch {epoch + 1}; "
                f"lower --learning-rate ({self.config.learning_rate:g})."
            )
        val_loss, val_accuracy = self._judge(frozen=frozen)
        line = {
            "epoch": epoch + 1,
            "frozen": frozen,
            "train_loss": round(loss_sum / seen, 6),
            "val_loss": round(val_loss, 6),
            "val_accuracy": round(val_accuracy, 6),
            "learning_rate": rate,
            "seconds": round(time.perf_counter() - began, 2),
        }
        self._keep(epoch, line)
        return line

    def resume(self) -> int:
        """Take up the state after the last finished epoch and return the next one's number, from 0.

        Raises:
            RunError: last.pt is damaged.
        """
        if not self.run.last_path.exists():
            return 0
        try:
            state = torch.load(self.run.last_path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.best_accuracy, self.best_loss = state["best_accuracy"], state["best_loss"]
            finished_epochs = int(state["epoch"])
        except Exception as error:
            # zipfile, pickle and torch each have their own errors for a file that is damaged.
            raise RunError(
                f"{self.run.last_path} cannot be resumed from: {' '.join(str(error).split())[:99]}. "
                "Train anew into another --out."
            ) from None
        # A crash between log and checkpoint leaves a line too many.
        history = self.run.history()[:finished_epochs]
        write_beside(self.run.metrics_path, "".join(json.dumps(line) + "\n" for line in history))
        return finished_epochs

    def _batches(self, epoch: int) -> Iterator[Batch]:
        size, seed = self.config.batch_size, self.config.seed
        if not self.config.is_body_frozen(epoch):
            yield from self.training_photos.batches(batch_size=size, seed=seed, epoch=epoch)
            return
        if self._features is None:
            self._features = self._compute_features()
        yield from feature_batches(self._features, batch_size=size, seed=seed, epoch=epoch)

    def _compute_features(self) -> Batch:
        views: list[Batch] = []
        for view in range(FEATURE_VIEWS):
            # Numbered from far above any epoch, so that no epoch sees the same crops again.
            batches = self.training_photos.batches(
                batch_size=self.config.batch_size, seed=self.config.seed, epoch=1_000_000 + view
            )
            views.append(compute_features(self.network, batches, self.device))
        return torch.cat([view[0] for view in views]).to(self.device), torch.cat(
            [view[1] for view in views]
        )

    def _set_rates(self, epoch: int, step: int) -> float:
        """Set each group's learning rate for this step and return the head's."""
        config = self.config
        frozen = config.is_body_frozen(epoch)
        first, count = (0, config.head_epochs) if frozen else (config.head_epochs, config.epochs)
        photos = len(self.training_photos.photos) * (FEATURE_VIEWS if frozen else 1)
        steps = math.ceil(photos / config.batch_size)
        highest = config.head_learning_rate if frozen else config.learning_rate
        rate = highest * one_cycle((epoch - first + step / steps) / count)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * (config.body_lr_ratio if group["part"] == "body" else 1)
        return rate

    @torch.inference_mode()
    def _judge(self, *, frozen: bool) -> tuple[float, float]:
        """Return loss and accuracy on val, each photo counted once."""
        network = self._judged().eval()
        forward = head_of(network) if frozen else network.logits
        loss, right, seen = 0.0, 0, 0
        for inputs, labels in self._val_batches(frozen=frozen):
            logits = forward(inputs.to(self.device)).cpu()
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
            right += int((logits.argmax(1) == labels).sum())
            seen += len(labels)
        return loss / seen, right / seen

    def _val_batches(self, *, frozen: bool) -> Iterator[Batch]:
        served = served_pixels(self.photos.of("val"), self.spec, batch_size=JUDGING_BATCH_SIZE)
        if not frozen:
            yield from served
            return
        if self._val_features is None:
            self._val_features = compute_features(self.network, served, self.device)
        yield self._val_features

    def _judged(self) -> Network:
        """Return the averaged network where one is kept, else the network itself."""
        network = self.network if self.average is None else self.average.module
        assert isinstance(network, Network)
        return network

    def _keep(self, epoch: int, line: dict[str, Any]) -> None:
        with self.run.metrics_path.open("a") as log:
            log.write(json.dumps(line) + "\n")
        accuracy, loss = line["val_accuracy"], line["val_loss"]
        if (accuracy, -loss) > (self.best_accuracy, -self.best_loss):
            self.best_accuracy, self.best_loss = accuracy, loss
            state = self._judged().body_and_head.state_dict()
            write_beside(
                self.run.best_path,
                save({name: value.cpu().contiguous() for name, value in state.items()}),
            )
        state = {
            "epoch": epoch + 1,
            "network": self.network.state_dict(),
            "average": {} if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_accuracy": self.best_accuracy,
            "best_loss": self.best_loss,
        }
        beside = self.run.last_path.with_suffix(".part")
        torch.save(state, beside)
        beside.replace(self.run.last_path)


def preprocessing_of(config: TrainConfig) -> PreprocessingSpec:
    return PreprocessingSpec(image_size_px=config.image_size_px, resize_ratio=config.resize_ratio)


def _choose_device(config: TrainConfig) -> torch.device:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda was given, but PyTorch finds no GPU here; use auto or cpu."
        )
    wanted = config.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)
