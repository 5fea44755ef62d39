"""The training loop: photos in, run folder out.

    headswap train --data photos --out runs/first

Everything an epoch does follows from the config, the epoch's number and the state at its start: the order, the crops,
the learning rates, what is frozen, the dropout. So a resumed run equals an uninterrupted one, bit for bit, on the same
machine.
"""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from handlers.engines.network import Network
from training.config import Stage, TrainConfig
from training.data.dataset import Batch, preprocessing_of
from training.data.duplicates import with_near_leaks
from training.data.grey_hints import suggest_grey_range
from training.data.group_hints import suggest_group_by
from training.data.photos import PhotoSet
from training.data.source import check_photos_are_here, read_data
from training.distributed import ProcessGroup, init_process_group
from training.errors import DivergedError, InterruptedRunError
from training.fit.batches import BatchSource
from training.fit.batchnorm import (
    convert_batchnorm,
    has_local_statistics,
    with_local_batch_min,
)
from training.fit.checkpoint import Score, TrainingState, resume, save_epoch
from training.fit.compiling import Forward, compile_forward
from training.fit.cpu import keep_freed_memory, single_thread_below
from training.fit.freezing import backbone_blocks, set_trainable, trainable_block_count
from training.fit.interpolation import Interpolation, share_of
from training.fit.loss import count_parts, make_loss, split_batch
from training.fit.optimizer import (
    head_learning_rate,
    learning_rates,
    make_average,
    make_optimizer,
    set_learning_rates,
    update_average,
)
from training.fit.precision import choose_precision, make_autocast, make_scaler
from training.fit.progress import Progress, ProgressDisplay, no_progress, show_progress
from training.fit.schedule import learning_rate_at
from training.fit.starting_network import make_starting_network
from training.own_photos import record_place
from training.run import Run, begin_run, check_run
from training.threads import limit_torch_threads
from training.tracking.tracker import check_installed
from training.tracking.tracking import track_training


def train(config: TrainConfig, *, progress: Progress | None = None) -> Path:
    """Return the run folder of a network fine-tuned on the config's photos.

    Raises:
        DataError, WeightsError, ConfigError, RunError, DownloadError: photos, weights, flags or run folder cannot be
            used.
        DivergedError: the loss is NaN or infinite.
        InterruptedRunError: Ctrl-C; the run can be resumed.
        PeerLostError: another process is gone; the run can be resumed.
    """
    run = Run(folder=config.out)
    with init_process_group(config.device) as group:
        group.on_rank_zero(check_installed, config.log)
        photos = group.on_rank_zero(read_and_check, run, config)
        check_photos_are_here(photos)
        trainer = Trainer(config, photos, group)
        if not config.resume:
            group.on_rank_zero(begin_run, run, config, photos, licence_note=trainer.licence_note)
        first_epoch = resume(run, trainer.state, group) if config.resume else 0
        with (
            progress or _progress(config, first_epoch, group) as display,
            track_training(run, config, group, warn=display.message) as tracking,
        ):
            display.message(photos.describe())
            if hint := suggest_group_by(
                photos, group_by=config.group_by, near_duplicates=photos.near_leaked
            ):
                display.message(hint)
            hint = suggest_grey_range(photos, grey_range=config.grey_range)
            if hint is not None:
                display.message(hint)
            if trainer.has_local_statistics:
                display.message(
                    f"BatchNorm: each of the {group.world_size} CPU processes normalises by its own photos; process "
                    "0's statistics are validated and saved"
                )
            try:
                if note := trainer.batch_source.describe_unlabeled():
                    display.message(note)
                for epoch in range(first_epoch, config.total_epochs):
                    if group.on_rank_zero(should_stop, run, config):
                        display.message(
                            f"stopped early: no better validation score in {config.patience_epochs} epochs"
                        )
                        break
                    metrics = trainer.run_epoch(epoch)
                    trainer.state.best = group.on_rank_zero(
                        save_epoch, run, trainer.state, metrics, val_count=len(photos.of("val"))
                    )
                    tracking.log_epoch(metrics)
                    display.epoch(metrics)
                if config.log:
                    group.on_rank_zero(tracking.log_mistakes, photos.of("val"))
            except KeyboardInterrupt:
                raise group.report_on_rank_zero(
                    InterruptedRunError(
                        f"interrupted; the finished epochs are in {run.folder}. "
                        "Continue with the same flags and --resume."
                    )
                ) from None
    return run.folder


def read_and_check(run: Run, config: TrainConfig) -> PhotoSet:
    """Return the config's photos, after checking that the run folder may be created or resumed with them."""
    photos = read_data(config)
    check_run(run, config, photos)
    if config.resume:
        record_place(
            run, data=config.data, labels=config.labels, unlabeled=config.unlabeled, photos=photos
        )
        return replace(photos, near_leaks=run.near_leaks())
    return with_near_leaks(photos)


def should_stop(run: Run, config: TrainConfig) -> bool:
    """Say whether to stop before the last epoch, from the run's metrics alone."""
    return is_out_of_patience(
        run.history(),
        patience_epochs=config.patience_epochs,
        is_head_only=config.freeze == "backbone",
    )


def is_out_of_patience(
    history: Sequence[Mapping[str, Any]], *, patience_epochs: int, is_head_only: bool
) -> bool:
    """Say whether the last `patience_epochs` lines of metrics.jsonl brought no better score; 0 is endless patience.

    Where the whole network is trained, the head's own epochs before do not count: they are nearly free, and those after
    them start from another place.
    """
    last_stage = [metrics for metrics in history if metrics["frozen"] == is_head_only]
    if not patience_epochs or not last_stage:
        return False
    scores = [Score.from_metrics(metrics) for metrics in last_stage]
    return len(scores) - 1 - scores.index(max(scores)) >= patience_epochs


def _progress(
    config: TrainConfig, first_epoch: int, group: ProcessGroup
) -> AbstractContextManager[ProgressDisplay]:
    return show_progress(config.total_epochs, first_epoch) if group.is_rank_zero else no_progress()


class Trainer:
    """A network in training, epoch by epoch. Writes no files."""

    def __init__(self, config: TrainConfig, photos: PhotoSet, group: ProcessGroup) -> None:
        self.config, self.group, self.device = config, group, group.device
        limit_torch_threads()
        if self.device.type == "cpu":
            keep_freed_memory()
        self.dtype = choose_precision(config.precision, self.device)
        self.batch_source = BatchSource(config, photos, group)
        torch.manual_seed(config.seed)
        network, self.licence_note = make_starting_network(
            architecture=config.architecture,
            weights=config.effective_weights,
            class_count=len(photos.class_names),
            preprocessing=preprocessing_of(config),
            group=group,
            class_names=photos.class_names,
        )
        convert_batchnorm(network, config.effective_batchnorm_stats, group)
        self.has_local_statistics = has_local_statistics(
            network, config.effective_batchnorm_stats, group
        )
        self.state = TrainingState(
            network=network,
            average=make_average(network, config.ema_decay),
            interpolation=self._make_interpolation(network, photos),
            optimizer=make_optimizer(
                network,
                optimizer=config.optimizer,
                learning_rate=config.head_learning_rate,
                weight_decay=config.weight_decay,
            ),
            scaler=make_scaler(self.dtype, self.device),
            best=Score(),
        )
        # Looked up once: walking through all modules takes as long as a step of the head.
        self.head, self.parameters = network.head, list(network.parameters())
        self.block_count = len(backbone_blocks(network))
        self.loss = make_loss(
            photos.counts("train"),
            self.device,
            balance=config.balance,
            label_smoothing=config.label_smoothing,
        )
        self.forward: Forward = network.logits
        if config.compile:
            self.forward = compile_forward(self.forward, self.device)
        if self.has_local_statistics:
            self.forward = with_local_batch_min(self.forward, network)

    def _make_interpolation(self, network: Network, photos: PhotoSet) -> Interpolation | None:
        if not self.config.interpolates:
            return None
        photos_per_class = len(photos.of("train")) / len(photos.class_names)
        return Interpolation(network, self.config.finetuned_share or share_of(photos_per_class))

    def run_epoch(self, epoch: int) -> dict[str, Any]:
        """Train for one epoch, validate, and return the epoch's line of metrics.jsonl."""
        started = time.perf_counter()
        # Each process draws its own dropout masks and mixing ratios.
        torch.manual_seed(self.config.seed * 1_000_003 + epoch + (self.group.rank << 40))
        train_loss = self.train_epoch(epoch)
        score = self.validate(epoch)
        return {
            "epoch": epoch + 1,
            "frozen": self.config.is_backbone_frozen(epoch),
            "train_loss": round(train_loss, 6),
            "val_loss": round(score.loss, 6),
            "val_accuracy": round(score.accuracy, 6),
            "learning_rate": head_learning_rate(self.state.optimizer),
            "seconds": round(time.perf_counter() - started, 2),
            **self._learning_rates(),
            **self.batch_source.statistics(),
        }

    def _learning_rates(self) -> dict[str, dict[str, float]]:
        """Return those of head and backbone, where the run is followed."""
        return {"learning_rates": learning_rates(self.state.optimizer)} if self.config.log else {}

    def train_epoch(self, epoch: int) -> float:
        """Take one pass over the training photos and return the mean loss.

        Raises:
            DivergedError: it is NaN or infinite.
        """
        if epoch == self.config.frozen_epochs and self.state.interpolation is not None:
            self.state.interpolation.start_from(self.state.averaged_network)
        self.freeze_for(epoch)
        step_count = self.batch_source.step_count(epoch)
        stage = self.config.stage_of(
            epoch, labeled_per_step=self.batch_source.labeled_per_step(epoch)
        )
        loss_sum, photo_count = torch.zeros((), dtype=torch.float64, device=self.device), 0
        # Before threads are limited: this computes the frozen backbone's features, which needs all of them.
        batches = self.batch_source.training_batches(self.state.network, epoch)
        with self._limit_threads(epoch):
            for step, batch in enumerate(batches):
                self.set_learning_rate(epoch + step / step_count, stage)
                loss_sum += self.step(batch, epoch)
                photo_count += len(batch[1])
        if self.has_local_statistics:
            self._share_statistics()
        total_loss, total_photos = self.group.sum(loss_sum.item(), photo_count)
        train_loss = total_loss / total_photos
        if not math.isfinite(train_loss):
            raise self.group.report_on_rank_zero(
                DivergedError(
                    f"the loss became {train_loss} in epoch {epoch + 1}; lower --learning-rate "
                    f"({stage.peak_learning_rate:g}). headswap lr-find suggests one."
                )
            )
        return train_loss

    def freeze_for(self, epoch: int) -> None:
        """Freeze what this epoch does not train, and put the network into training mode."""
        config = self.config
        trainable = trainable_block_count(
            epoch,
            block_count=self.block_count,
            freeze=config.freeze,
            frozen_epochs=config.frozen_epochs,
            epochs=config.epochs,
        )
        set_trainable(
            self.state.network,
            block_count=trainable,
            batchnorm_stats=config.effective_batchnorm_stats,
        )

    def set_learning_rate(self, epoch_fraction: float, stage: Stage) -> None:
        """Set the learning rates of head and backbone for a moment of the stage, counted in the run's epochs from 0."""
        learning_rate = learning_rate_at(
            epoch_fraction - stage.first_epoch,
            epochs=stage.epochs,
            peak=stage.peak_learning_rate,
            schedule=self.config.schedule,
            warmup_epochs=self.config.warmup_epochs,
        )
        set_learning_rates(
            self.state.optimizer,
            learning_rate,
            backbone_lr_ratio=self.config.effective_backbone_lr_ratio,
        )

    def step(self, batch: Batch, epoch: int) -> torch.Tensor:
        """Take one optimizer step and return the loss, summed over this process's photos, `() float64`.

        It stays on the device: reading it would make the CPU wait for the GPU.
        """
        state = self.state
        is_backbone_frozen = self.config.is_backbone_frozen(epoch)
        forward = self.head if is_backbone_frozen else self.forward
        photo_count = int(self.group.sum(len(batch[1]))[0])
        part_count = count_parts(photo_count, self.config.accumulate_steps, self.group)
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        state.optimizer.zero_grad(set_to_none=True)
        for inputs, targets in split_batch(batch, part_count):
            with make_autocast(self.dtype, self.device):
                logits = forward(inputs.to(self.device))
                loss = self.loss(logits.float(), targets.to(self.device))
            torch.autograd.backward(state.scaler.scale(loss / photo_count))
            loss_sum += loss.detach().double()
        self.group.sum_gradients(self.parameters)
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        if state.average is not None:
            update_average(state.average, state.network, head_only=is_backbone_frozen)
        return loss_sum

    @torch.inference_mode()
    def validate(self, epoch: int) -> Score:
        """Return loss and accuracy on val, each photo counted once."""
        is_backbone_frozen = self.config.is_backbone_frozen(epoch)
        network = self.state.network_to_save(is_backbone_frozen=is_backbone_frozen).eval()
        forward = network.head if is_backbone_frozen else network.logits
        loss, correct, count = 0.0, 0.0, 0.0
        for inputs, labels in self.batch_source.validation_batches(network, epoch):
            logits = forward(inputs.to(self.device)).cpu()
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += int((logits.argmax(1) == labels).sum())
            count += len(labels)
        loss, correct, count = self.group.sum(loss, correct, count)
        return Score(accuracy=correct / count, negative_loss=-loss / count)

    def _share_statistics(self) -> None:
        """Copy process 0's BatchNorm statistics to the others, so that all validate the network that it saves."""
        self.group.broadcast(self.state.network.buffers())
        if self.state.average is not None:
            self.group.broadcast(self.state.average.buffers())

    def _limit_threads(self, epoch: int) -> AbstractContextManager[None]:
        if self.device.type != "cpu" or not self.config.is_backbone_frozen(epoch):
            return nullcontext()
        return single_thread_below(self.batch_source.batch_size(epoch) * self.head.weight.numel())
