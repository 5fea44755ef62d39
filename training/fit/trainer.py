"""The training loop: photos in, run folder out.

    headswap train --data photos --out runs/first

Everything an epoch does follows from (config, epoch) and the state at its start: the order, the
crops, the rates, what is frozen, the dropout. So a resumed run is the uninterrupted one, bit for
bit, on the same machine.
"""

import json
import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional

from handlers.engines.network import build_network
from training.config import TrainConfig
from training.data.dataset import Batch, preprocessing_of
from training.data.duplicates import with_near_leaks
from training.data.photos import PhotoSet
from training.data.source import check_photos_are_here, read_data
from training.distributed import ProcessGroup, join_ranks
from training.errors import DivergedError, InterruptedRunError
from training.fit.batches import BatchSource
from training.fit.checkpoint import Score, State, load_checkpoint, save_checkpoint
from training.fit.compiling import compiled
from training.fit.features import head_of
from training.fit.freezing import set_learning
from training.fit.loss import count_parts, make_loss, split_batch
from training.fit.memory import keep_freed_memory
from training.fit.optimizer import (
    make_average,
    make_optimizer,
    rate_of_head,
    set_learning_rates,
    update_average,
)
from training.fit.patience import is_out_of_patience
from training.fit.precision import choose_precision, make_autocast, make_scaler
from training.fit.pretrained import start
from training.fit.progress import Progress, Shown, show_nothing, show_progress
from training.fit.schedule import learning_rate_at
from training.fit.synced_norm import sync_norms
from training.fit.threads import one_thread_for
from training.run import Run, begin_run, check_run, write_beside


def train(config: TrainConfig, *, progress: Progress | None = None) -> Path:
    """Return the run folder of a network fine-tuned on the config's photos.

    Raises:
        DataError, WeightsError, ConfigError, DownloadError: what was given cannot be used.
        DivergedError: the loss is no longer a number.
        InterruptedRunError: Ctrl-C; the run can be resumed.
        PeerLostError: another process of torchrun's is gone; the run can be resumed.
    """
    run = Run(folder=config.out)
    with join_ranks(config.device) as ranks:
        photos = ranks.on_rank_zero(read_and_check, run, config)
        check_photos_are_here(photos)
        trainer = Trainer(config, photos, ranks)
        if not config.resume:
            ranks.on_rank_zero(begin_run, run, config, photos, licence_note=trainer.licence_note)
        first_epoch = resume_run(run, trainer) if config.resume else 0
        with progress or _progress(config, first_epoch, ranks) as shown:
            shown.say(photos.describe())
            try:
                for epoch in range(first_epoch, config.total_epochs):
                    if ranks.on_rank_zero(should_stop, run, config):
                        shown.say(f"stopped: {config.patience_epochs} epochs without a better val.")
                        break
                    line = trainer.run_epoch(epoch)
                    trainer.state.best = ranks.on_rank_zero(keep, run, trainer.state, line)
                    shown.epoch(line)
            except KeyboardInterrupt:
                raise ranks.told_once(
                    InterruptedRunError(
                        f"interrupted; the finished epochs are in {run.folder}. "
                        "Go on with the same flags and --resume."
                    )
                ) from None
    return run.folder


def read_and_check(run: Run, config: TrainConfig) -> PhotoSet:
    """Return the photos, of which the run folder may be made, or which it was made of."""
    photos = read_data(config)
    check_run(run, config, photos)
    if config.resume:
        return replace(photos, near_leaks=run.near_leaks())
    return with_near_leaks(photos)


def should_stop(run: Run, config: TrainConfig) -> bool:
    """Say whether to stop before the last epoch, from what the run folder tells."""
    return is_out_of_patience(run.history(), config)


def _progress(
    config: TrainConfig, first_epoch: int, ranks: ProcessGroup
) -> AbstractContextManager[Shown]:
    return show_progress(config.total_epochs, first_epoch) if ranks.is_rank_zero else show_nothing()


class Trainer:
    """A network that learns, epoch by epoch. Writes nothing."""

    def __init__(self, config: TrainConfig, photos: PhotoSet, ranks: ProcessGroup) -> None:
        self.config, self.ranks, self.device = config, ranks, ranks.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.dtype = choose_precision(config.precision, self.device)
        self.feed = BatchSource(config, photos, ranks)
        torch.manual_seed(config.seed)
        network = build_network(
            architecture=config.architecture,
            class_count=len(photos.class_names),
            preprocessing=preprocessing_of(config),
        )
        self.licence_note = ranks.on_rank_zero(start, network, config)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        ranks.copy_from_first(network)
        sync_norms(network, ranks)
        self.state = State(
            network=network,
            average=make_average(network, config),
            optimizer=make_optimizer(network, config),
            scaler=make_scaler(self.dtype, self.device),
            best=Score(),
        )
        # Looked up once: walking through all modules takes as long as a step of the head.
        self.head, self.parameters = head_of(network), list(network.parameters())
        self.loss = make_loss(config, photos.counts("train"), self.device)
        self.whole = compiled(network.logits, self.device) if config.compile else network.logits

    def run_epoch(self, epoch: int) -> dict[str, Any]:
        """Train one epoch, judge it on val, and return its line of metrics.jsonl."""
        began = time.perf_counter()
        # Each process draws its own dropout and its own mixtures.
        torch.manual_seed(self.config.seed * 1_000_003 + epoch + (self.ranks.rank << 40))
        train_loss = self.learn(epoch)
        score = self.judge(epoch)
        return {
            "epoch": epoch + 1,
            "frozen": self.config.is_backbone_frozen(epoch),
            "train_loss": round(train_loss, 6),
            "val_loss": round(score.loss, 6),
            "val_accuracy": round(score.accuracy, 6),
            "learning_rate": rate_of_head(self.state.optimizer),
            "seconds": round(time.perf_counter() - began, 2),
        }

    def learn(self, epoch: int) -> float:
        """Go through the training photos once and return the mean loss."""
        config, state = self.config, self.state
        set_learning(state.network, config, epoch)
        step_count = self.feed.step_count(epoch)
        loss_sum, seen = torch.zeros((), dtype=torch.float64, device=self.device), 0
        # Before there are fewer threads: this computes a frozen body's features, which needs all of them.
        batches = self.feed.learning(state.network, epoch, teacher=self.answer)
        with self._threads(epoch):
            for step, batch in enumerate(batches):
                set_learning_rates(
                    state.optimizer, learning_rate_at(config, epoch, step / step_count), config
                )
                loss_sum += self.step(batch, epoch)
                seen += len(batch[1])
        train_loss_sum, train_count = self.ranks.sum(loss_sum.item(), seen)
        train_loss = train_loss_sum / train_count
        if not math.isfinite(train_loss):
            raise self.ranks.told_once(
                DivergedError(
                    f"the loss became {train_loss} in epoch {epoch + 1}; lower --learning-rate "
                    f"({config.learning_rate:g}). headswap lr-find finds one."
                )
            )
        return train_loss

    def step(self, batch: Batch, epoch: int) -> torch.Tensor:
        """Move the weights once and return the loss, summed over this process's photos, float64.

        It stays on the device: reading it would make the processor wait for the GPU.
        """
        state = self.state
        is_backbone_frozen = self.config.is_backbone_frozen(epoch)
        forward = self.head if is_backbone_frozen else self.whole
        photo_count = int(self.ranks.sum(len(batch[1]))[0])
        part_count = count_parts(photo_count, self.config.accumulate_steps, self.ranks)
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        state.optimizer.zero_grad(set_to_none=True)
        for inputs, targets in split_batch(batch, part_count):
            with make_autocast(self.dtype, self.device):
                logits = forward(inputs.to(self.device))
                loss = self.loss(logits.float(), targets.to(self.device))
            torch.autograd.backward(state.scaler.scale(loss / photo_count))
            loss_sum += loss.detach().double()
        self.ranks.sum_gradients(self.parameters)
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        if state.average is not None:
            update_average(state.average, state.network, head_alone=is_backbone_frozen)
        return loss_sum

    def _threads(self, epoch: int) -> AbstractContextManager[None]:
        if self.device.type != "cpu" or not self.config.is_backbone_frozen(epoch):
            return nullcontext()
        return one_thread_for(self.config.batch_size * self.head.weight.numel())

    @torch.no_grad()
    def answer(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits `(B, K) float32` of the network that is judged, on the device."""
        with make_autocast(self.dtype, self.device):
            return self.state.judged.eval().logits(pixels.to(self.device)).float()

    @torch.inference_mode()
    def judge(self, epoch: int) -> Score:
        """Return loss and accuracy on val, each photo counted once."""
        network = self.state.judged.eval()
        forward = head_of(network) if self.config.is_backbone_frozen(epoch) else network.logits
        loss, right, seen = 0.0, 0.0, 0.0
        for inputs, labels in self.feed.judging(network, epoch):
            logits = forward(inputs.to(self.device)).cpu()
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
            right += int((logits.argmax(1) == labels).sum())
            seen += len(labels)
        loss, right, seen = self.ranks.sum(loss, right, seen)
        return Score(accuracy=right / seen, negative_loss=-loss / seen)


def keep(run: Run, state: State, line: dict[str, Any]) -> Score:
    """Log the epoch, save what resuming needs, and the network if it is the best so far; return the best score."""
    with run.metrics_path.open("a") as log:
        log.write(json.dumps(line) + "\n")
    score = Score.of(line)
    if score > state.best:
        state.best = score
        weights = state.judged.backbone_and_head.state_dict()
        write_beside(
            run.best_path,
            save({name: value.cpu().contiguous() for name, value in weights.items()}),
        )
    save_checkpoint(
        run.last_path, state, finished_epochs=line["epoch"], is_backbone_frozen=line["frozen"]
    )
    return state.best


def resume_run(run: Run, trainer: Trainer) -> int:
    """Put the trainer where the run's last finished epoch left off; return the next one, from 0.

    Raises:
        RunError: last.pt is damaged, or belongs to other starting weights.
    """
    ranks = trainer.ranks
    if not ranks.on_rank_zero(run.last_path.exists):
        return 0
    finished_epochs = load_checkpoint(run.last_path, trainer.state, ranks)
    ranks.on_rank_zero(truncate_log, run, finished_epochs)
    return finished_epochs


def truncate_log(run: Run, finished_epochs: int) -> None:
    """Leave the lines of the finished epochs: a crash between log and checkpoint leaves one too many."""
    history = run.history()[:finished_epochs]
    write_beside(run.metrics_path, "".join(json.dumps(line) + "\n" for line in history))
