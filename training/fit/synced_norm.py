"""BatchNorm over the photos of all processes: its statistics are those of the whole step.

Without it every process would normalise by its own share, and the same run would learn something
else on two processes than on one. `torch.nn.SyncBatchNorm` does it on GPUs and refuses the CPU; this
one does it there, so that what the tests hold equal is what the GPUs compute.
"""

from typing import Any

import torch
from torch import distributed, nn

from training.distributed import ProcessGroup, lost_peers


def sync_norms(network: nn.Module, ranks: ProcessGroup) -> None:
    """Have every BatchNorm of the network see the whole step; parameters and names stay the same."""
    if ranks.count == 1:
        return
    if ranks.device.type == "cuda":
        # The network itself is none, so it is changed in place.
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return
    for norm in network.modules():
        if type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d):
            norm.__class__ = SyncedBatchNorm


class SyncedBatchNorm(nn.BatchNorm2d):
    """`(B, C, ...)` to the same shape; while training, mean and variance are over all processes."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        # Any number of dimensions: the sums run over all but the channels.
        pass

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        mean, variance, count = _statistics(input)
        self._remember(mean.detach(), variance.detach(), count)
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        shape = (1, -1) + (1,) * (input.ndim - 2)
        return input * scale.view(shape).to(input.dtype) + shift.view(shape).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, variance: torch.Tensor, count: float) -> None:
        if not self.track_running_stats:
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        # The running variance is the unbiased one, as in every BatchNorm of torch.
        self.running_var.lerp_(variance * count / max(1, count - 1), momentum)


def _statistics(input: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return mean and biased variance `(C,) float32` over all processes, and how many values they are of."""
    channels = input.shape[1]
    axes = [0, *range(2, input.ndim)]
    count = input.numel() // channels
    if count == 0:
        # A step with fewer photos than processes. The empty sum keeps the way back to the input.
        mean = variance = input.double().sum(axes)
    else:
        variance, mean = torch.var_mean(input.float(), dim=axes, correction=0)
        # Sums of squares in double precision: their difference would lose the variance in single.
        mean, variance = mean.double(), variance.double()
    told = torch.cat([count * mean, count * (variance + mean**2), mean.new_tensor([count])])
    sums = _SumOverRanks.apply(told)
    total = float(sums[-1].detach())
    mean, square = (sums[:-1] / total).split(channels)
    return mean.float(), (square - mean**2).clamp(min=0).float(), total


class _SumOverRanks(torch.autograd.Function):
    """The sum of every process's vector; each one's gradient is the sum of all gradients."""

    @staticmethod
    def forward(context: Any, vector: torch.Tensor) -> torch.Tensor:
        return _summed(vector)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _summed(gradient)


def _summed(vector: torch.Tensor) -> torch.Tensor:
    total = vector.clone()
    with lost_peers():
        distributed.all_reduce(total)
    return total
