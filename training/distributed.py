"""Training with several processes: torchrun starts them, and all they exchange goes through `ProcessGroup`.

    torchrun --nproc-per-node 2 -m headswap train --data photos --out runs/first

Every process holds the whole network and computes its shard of each batch; the gradients are summed before the
optimizer step. Process 0 alone reads the data folder, writes the run folder and prints. Without torchrun there is one
process, and nothing here communicates.

Not DistributedDataParallel: it wraps `forward` and must be rebuilt whenever a part of the network is frozen or
unfrozen. For up to 90 million parameters, one all-reduce after the backward pass does the same in a few lines.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import torch
from torch import distributed, nn

from training.config import Device
from training.errors import ConfigError, PeerLostError, RankZeroFailedError, TrainingError

P = ParamSpec("P")
T = TypeVar("T")

# Process 0 may have to download and unpack a dataset while the others wait for it.
CONTROL_TIMEOUT = timedelta(hours=2)
# A step takes seconds; a host that went away without closing its connections is noticed after this.
STEP_TIMEOUT = timedelta(minutes=10)
TORCHRUN_VARIABLES = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """This process among `world_size`: number `rank` of all and number `local_rank` on its host, both from 0."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    device: torch.device = torch.device("cpu")
    control_group: distributed.ProcessGroup | None = None
    """Carries objects from process 0 to the others, with CONTROL_TIMEOUT instead of STEP_TIMEOUT."""

    @property
    def is_rank_zero(self) -> bool:
        return self.rank == 0

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's items: together the shards are all items, and their sizes differ by at most 1."""
        return items[self.rank :: self.world_size]

    def shard_of_batch(self, start: int, stop: int) -> slice:
        """Return this process's part of the batch that takes items `start` to `stop` of the epoch's order.

        Over all batches of an epoch these parts are the `shard` of its order.
        """
        return slice(start + (self.rank - start) % self.world_size, stop, self.world_size)

    def report_on_rank_zero(self, error: TrainingError) -> TrainingError:
        """Return the error to raise where every process met the same one, so that process 0 alone reports it."""
        return error if self.is_rank_zero else RankZeroFailedError(exit_code=error.exit_code)

    def on_rank_zero(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in process 0 alone and return its result in every process.

        Raises:
            RankZeroFailedError: it raised in process 0, which raises the error itself.
        """
        if self.world_size == 1:
            return function(*args, **kwargs)
        # The result and, if there is none, the exit code.
        outcome: list[Any] = [None, None]
        failure: BaseException | None = None
        if self.is_rank_zero:
            try:
                outcome[0] = function(*args, **kwargs)
            except BaseException as error:
                failure = error
                outcome[1] = getattr(error, "exit_code", 1)
        with _peer_loss_as_one_error():
            distributed.broadcast_object_list(outcome, src=0, group=self.control_group)
        if failure is not None:
            raise failure
        if outcome[1] is not None:
            raise RankZeroFailedError(exit_code=outcome[1])
        return outcome[0]  # type: ignore[no-any-return]

    def sum(self, *values: float) -> list[float]:
        """Return each value summed over all processes, in double precision."""
        if self.world_size == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64)
        self._all_reduce(totals)
        return totals.tolist()

    def sum_tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor summed over all processes, on its device, without waiting for a GPU."""
        if self.world_size == 1:
            return tensor
        total = tensor.clone()
        self._all_reduce(total)
        return total

    def gather(self, rows: torch.Tensor, count: int) -> torch.Tensor:
        """Return all `(count, ...)` rows in order, given each process's `shard` of them."""
        if self.world_size == 1:
            return rows
        # Zeros added to the one process's row leave its bits as they are.
        gathered = rows.new_zeros(count, *rows.shape[1:])
        gathered[self.rank :: self.world_size] = rows
        self._all_reduce(gathered)
        return gathered

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradient of each trainable parameter by its sum over all processes.

        Where each process's loss is the sum over its own photos divided by the number of all photos in the batch, that
        is the gradient of the mean over the batch, however unevenly it is sharded.
        """
        if self.world_size == 1:
            return
        gradients = []
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self._all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def broadcast(self, tensors: Iterable[torch.Tensor]) -> None:
        """Overwrite the tensors, the same ones in every process, with those of process 0."""
        if self.world_size == 1:
            return
        with _peer_loss_as_one_error():
            for tensor in tensors:
                # gloo does not accept channels_last tensors.
                contiguous = tensor.detach().contiguous()
                distributed.broadcast(contiguous, src=0)
                tensor.detach().copy_(contiguous)

    def _all_reduce(self, tensor: torch.Tensor) -> None:
        with _peer_loss_as_one_error():
            distributed.all_reduce(tensor)


SINGLE_PROCESS = ProcessGroup()


@contextmanager
def init_process_group(wanted_device: Device) -> Iterator[ProcessGroup]:
    """Yield the group of processes that torchrun started, or a group of one; leave it at the end.

    Raises:
        ConfigError: the environment variables are not torchrun's, or there are fewer GPUs than processes.
        PeerLostError: the other processes did not join, or one of them was lost later.
    """
    group = read_torchrun_environment(os.environ)
    device = choose_device(wanted_device, local_rank=group.local_rank)
    if group.world_size == 1:
        yield replace(group, device=device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with _peer_loss_as_one_error():
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=STEP_TIMEOUT
        )
        control_group = distributed.new_group(backend="gloo", timeout=CONTROL_TIMEOUT)
        assert isinstance(control_group, distributed.ProcessGroup)
    try:
        yield replace(group, device=device, control_group=control_group)
    finally:
        distributed.destroy_process_group()


def read_torchrun_environment(environment: Mapping[str, str]) -> ProcessGroup:
    """Return rank, world size and local rank as torchrun sets them; a single process where it sets nothing.

    Raises:
        ConfigError: a variable is missing or invalid.
    """
    if environment.get("WORLD_SIZE", "1") in ("", "1"):
        return SINGLE_PROCESS
    if missing := [name for name in TORCHRUN_VARIABLES if not environment.get(name)]:
        raise ConfigError(
            f"WORLD_SIZE is {environment['WORLD_SIZE']}, but {', '.join(missing)} is not set; start "
            "several processes with torchrun, which sets all of them."
        )
    values = {name: environment[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    described = ", ".join(f"{name}={value}" for name, value in values.items())
    if not all(value.isdecimal() for value in values.values()):
        raise ConfigError(
            f"{described} must be whole numbers; start several processes with torchrun."
        )
    rank, world_size, local_rank = map(int, values.values())
    if not max(rank, local_rank) < world_size:
        raise ConfigError(
            f"{described}: ranks must be between 0 and WORLD_SIZE - 1; start several processes with torchrun."
        )
    return ProcessGroup(rank=rank, world_size=world_size, local_rank=local_rank)


def require_single_process(command: str) -> None:
    """Check that torchrun did not start several processes, for a command that runs in one.

    Raises:
        ConfigError: it did.
    """
    if read_torchrun_environment(os.environ).world_size > 1:
        raise ConfigError(f"headswap {command} runs in one process; start it without torchrun.")


def choose_device(wanted: Device, *, local_rank: int = 0) -> torch.device:
    """Return the device to train on: a GPU where there is one, the second for a host's second process, and so on.

    Raises:
        ConfigError: a GPU is wanted and there is none, or fewer than processes.
    """
    gpu_count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and gpu_count == 0):
        return torch.device("cpu")
    if gpu_count == 0:
        raise ConfigError("--device cuda needs a GPU, and PyTorch finds none; use auto or cpu.")
    if local_rank >= gpu_count:
        raise ConfigError(
            f"torchrun started more processes on {socket.gethostname()} than it has GPUs "
            f"({gpu_count}); use --nproc-per-node {gpu_count}, or --device cpu."
        )
    return torch.device("cuda", local_rank)


@contextmanager
def _peer_loss_as_one_error() -> Iterator[None]:
    """Turn what gloo and NCCL raise when a process is gone into PeerLostError."""
    try:
        yield
    except TrainingError:
        raise
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise PeerLostError(
            f"another process of this run was lost or did not answer ({reason}). Its own output says "
            "more; start again with the same flags and --resume, with any number of processes."
        ) from None
