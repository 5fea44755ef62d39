"""Several processes train one network: torchrun starts them, this file is all they say to each other.

    torchrun --nproc-per-node 2 -m headswap train --data photos --out runs/first

Every process holds the whole network and takes its share of each step's photos; their gradients are
summed before the step. Process 0 alone reads the data folder, writes the run folder and prints.
Started without torchrun there is one process, and nothing here does anything.

Not DistributedDataParallel: it wraps `forward` and must be built anew whenever a part is frozen or
thawed. At up to 90 million parameters one sum after the backward pass does the same in a few lines.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import torch
from torch import distributed, nn

from training.config import Device
from training.device import choose_device
from training.errors import ConfigError, EndedElsewhereError, PeerLostError, TrainingError

P = ParamSpec("P")
T = TypeVar("T")

# Process 0 may have to download and unpack a data set while the others wait for its word.
PREPARING_TIMEOUT = timedelta(hours=2)
# A step takes seconds; a host that went away without closing its connections is noticed after this.
STEP_TIMEOUT = timedelta(minutes=10)
NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """This process among `count`: number `rank`, on its own host number `local_rank`, all from 0."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    device: torch.device = torch.device("cpu")
    words: distributed.ProcessGroup | None = None
    """Carries what process 0 tells; its timeout is that of preparing, not of a step."""

    @property
    def is_rank_zero(self) -> bool:
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's part: together the parts are the whole, sizes differ by at most 1."""
        return items[self.rank :: self.count]

    def share_of_step(self, first: int, end: int) -> slice:
        """Return this process's photos of the step that takes `first` to `end` of the epoch's order.

        Over all steps they are `share` of the order.
        """
        return slice(first + (self.rank - first) % self.count, end, self.count)

    def told_once(self, error: TrainingError) -> TrainingError:
        """Return an error that all processes meet alike, such that process 0 alone tells it."""
        if self.is_rank_zero:
            return error
        return EndedElsewhereError(exit_code=error.exit_code)

    def on_rank_zero(self, make: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Return what `make` returns in process 0, in every process; it is called there alone.

        Raises:
            EndedElsewhereError: it raised in process 0, where the error itself comes out.
        """
        if self.count == 1:
            return make(*args, **options)
        told: list[Any] = [None, None]
        fault: BaseException | None = None
        if self.is_rank_zero:
            try:
                told[0] = make(*args, **options)
            except BaseException as error:
                fault = error
                told[1] = getattr(error, "exit_code", 1)
        with lost_peers():
            distributed.broadcast_object_list(told, src=0, group=self.words)
        if fault is not None:
            raise fault
        if told[1] is not None:
            raise EndedElsewhereError(exit_code=told[1])
        return told[0]  # type: ignore[no-any-return]

    def sum(self, *values: float) -> list[float]:
        """Return each value summed over all processes, in double precision."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        self._add_up(total)
        return total.tolist()

    def sum_tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor summed over all processes, where it is: a GPU is not waited for."""
        if self.count == 1:
            return tensor
        total = tensor.clone()
        self._add_up(total)
        return total

    def gather(self, rows: torch.Tensor, count: int) -> torch.Tensor:
        """Return `(count, ...)` in its order, of which each process has its `share` as `rows`."""
        if self.count == 1:
            return rows
        # Zeros added to the one process's row leave its bits as they are.
        whole = rows.new_zeros(count, *rows.shape[1:])
        whole[self.rank :: self.count] = rows
        self._add_up(whole)
        return whole

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradient of each parameter that learns by its sum over all processes.

        Where each process's loss is the sum over its own photos divided by how many all have, that is
        the gradient of the mean over all of them, however unevenly they are shared.
        """
        if self.count == 1:
            return
        gradients = []
        for one in parameters:
            if one.requires_grad:
                if one.grad is None:
                    one.grad = torch.zeros_like(one)
                gradients.append(one.grad)
        flat = torch.cat([one.reshape(-1) for one in gradients])
        self._add_up(flat)
        parts = torch.split(flat, [one.numel() for one in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def copy_from_first(self, network: nn.Module) -> None:
        """Give every process the parameters and buffers of process 0."""
        if self.count == 1:
            return
        with lost_peers():
            for tensor in network.state_dict().values():
                # gloo takes no tensor in channels_last.
                whole = tensor.contiguous()
                distributed.broadcast(whole, src=0)
                tensor.copy_(whole)

    def _add_up(self, tensor: torch.Tensor) -> None:
        with lost_peers():
            distributed.all_reduce(tensor)


ALONE = ProcessGroup()


@contextmanager
def join_ranks(wanted_device: Device) -> Iterator[ProcessGroup]:
    """Yield this process's place among those torchrun started, alone where it started none.

    Raises:
        ConfigError: the environment is not torchrun's, or there are fewer GPUs than processes.
        PeerLostError: the others did not come, or one of them was lost later.
    """
    place = read_place(os.environ)
    device = choose_device(wanted_device, local_rank=place.local_rank)
    if place.count == 1:
        yield replace(place, device=device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with lost_peers():
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=STEP_TIMEOUT
        )
        words = distributed.new_group(backend="gloo", timeout=PREPARING_TIMEOUT)
        assert isinstance(words, distributed.ProcessGroup)
    try:
        yield replace(place, device=device, words=words)
    finally:
        distributed.destroy_process_group()


def read_place(environment: Mapping[str, str]) -> ProcessGroup:
    """Return what torchrun says of this process; alone where it says nothing.

    Raises:
        ConfigError: it says only half of it, or nonsense.
    """
    if environment.get("WORLD_SIZE", "1") in ("", "1"):
        return ALONE
    if missing := [name for name in NEEDED if not environment.get(name)]:
        raise ConfigError(
            f"WORLD_SIZE is {environment['WORLD_SIZE']}, but {', '.join(missing)} is not set; start "
            "several processes with torchrun, which sets them all."
        )
    said = {name: environment[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    if not all(value.isdecimal() for value in said.values()):
        raise ConfigError(f"{said} are no numbers; start several processes with torchrun.")
    rank, count, local_rank = map(int, said.values())
    if not max(rank, local_rank) < count:
        raise ConfigError(f"{said}: numbers go from 0 to WORLD_SIZE - 1; start them with torchrun.")
    return ProcessGroup(rank=rank, count=count, local_rank=local_rank)


def refuse_several(verb: str) -> None:
    """Refuse to run as one of several processes what only one can do.

    Raises:
        ConfigError: torchrun started several.
    """
    if read_place(os.environ).count > 1:
        raise ConfigError(f"headswap {verb} works in one process; start it without torchrun.")


@contextmanager
def lost_peers() -> Iterator[None]:
    """Turn what gloo and NCCL raise when a process is gone into one error."""
    try:
        yield
    except TrainingError:
        raise
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise PeerLostError(
            f"another process of this run was lost or did not answer ({reason}). Its own output says "
            "more; go on with the same flags and --resume, with as many processes as you like."
        ) from None
