"""How others fine-tune by default, in plain torch, each at the settings that its documentation gives.

The recipes train whatever network they are given, so that weights, photos, size and number of passes are the same for
all, and only the recipe differs. fastai, timm and Ultralytics are not installed for it: what is below is written from
their documentation, without their colour jitter (fastai, timm: lighting or colour) and without what does not change
what is learned. BatchNorm is trained, as in all of them.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from handlers.engines.network import Network
from training.config import Augment
from training.data.dataset import Batch

Batches = Callable[[int], Iterator[Batch]]
"""The batches of an epoch, counted from 0: pixels `(B, S, S, 3) uint8` and labels `(B,)`."""
Validate = Callable[[], float]
"""Returns how good the network is on val: the higher the better."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """What a recipe trains, and what it trains on."""

    network: Network
    """Its head has new weights, its backbone those that everybody starts from."""
    batches: Batches
    steps_per_epoch: int
    epochs: int
    class_count: int
    validate: Validate

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        *,
        label_smoothing: float = 0.0,
        clip_norm: float = math.inf,
    ) -> None:
        """Take one step on the batch."""
        pixels, labels = batch
        loss = functional.cross_entropy(
            self.network.logits(pixels), labels, label_smoothing=label_smoothing
        )
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), clip_norm)
        optimizer.step()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    train: Callable[[Learner], None]
    batch_size: int
    crop_area_min: float
    augment: Augment = "crop"
    source: str
    """Where the settings are written."""


def keep_best(learner: Learner, run_epoch: Callable[[int], nn.Module]) -> None:
    """Run every epoch, and leave the network with the weights that were best on val."""
    best_score, best = -math.inf, None
    for epoch in range(learner.epochs):
        evaluated = run_epoch(epoch)
        current = copy.deepcopy(learner.network.state_dict())
        learner.network.load_state_dict(evaluated.state_dict())
        score = learner.validate()
        if score > best_score:
            best_score, best = score, copy.deepcopy(learner.network.state_dict())
        learner.network.load_state_dict(current)
    assert best is not None
    learner.network.load_state_dict(best)


def torchvision_tutorial(learner: Learner) -> None:
    """SGD at 0.001, a tenth of it every 7 epochs, batches of 4; the best epoch on val is kept."""
    optimizer = torch.optim.SGD(learner.network.parameters(), lr=0.001, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)

    def run_epoch(epoch: int) -> nn.Module:
        learner.network.train()
        for batch in learner.batches(epoch):
            learner.step(optimizer, batch)
        schedule.step()
        return learner.network

    keep_best(learner, run_epoch)


def timm_train(learner: Learner) -> None:
    """train.py --pretrained: SGD at 0.1 for 256 photos, cosine after 5 epochs of warm-up, label smoothing 0.1."""
    peak, floor, warmup_epochs = 0.1 * 32 / 256, 0.0, min(5, learner.epochs)
    optimizer = torch.optim.SGD(
        learner.network.parameters(), lr=peak, momentum=0.9, weight_decay=2e-5, nesterov=True
    )

    def run_epoch(epoch: int) -> nn.Module:
        if epoch < warmup_epochs:
            rate = 1e-5 + epoch * (peak - 1e-5) / warmup_epochs
        else:
            rate = floor + (peak - floor) * (1 + math.cos(math.pi * epoch / learner.epochs)) / 2
        set_rates(optimizer, [rate])
        learner.network.train()
        for batch in learner.batches(epoch):
            learner.step(optimizer, batch, label_smoothing=0.1)
        return learner.network

    keep_best(learner, run_epoch)


def ultralytics_classify(learner: Learner) -> None:
    """AdamW at 0.01 / (4 + classes), 3 epochs of warm-up, linear decay; of averaged weights the best epoch is kept."""
    peak = 0.002 * 5 / (4 + learner.class_count)
    warmup_steps = max(3 * learner.steps_per_epoch, 100)
    decaying: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in learner.network.parameters():
        (decaying if parameter.ndim > 1 else others).append(parameter)
    groups = [{"params": decaying, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.999))
    average = copy.deepcopy(learner.network)
    done = 0

    def run_epoch(epoch: int) -> nn.Module:
        nonlocal done
        rate = peak * ((1 - epoch / learner.epochs) * (1 - 0.01) + 0.01)
        learner.network.train()
        for batch in learner.batches(epoch):
            set_rates(optimizer, [rate * min(1.0, done / warmup_steps)])
            learner.step(optimizer, batch, clip_norm=10.0)
            done += 1
            follow(average, learner.network, 0.9999 * (1 - math.exp(-done / 2000)))
        return average

    keep_best(learner, run_epoch)


def fastai_fine_tune(learner: Learner) -> None:
    """fine_tune(epochs - 1): one epoch of the head and BatchNorm, then all in one cycle, the backbone 100 times slower.

    Adam, decoupled weight decay 0.01; learning rates rise evenly from the backbone's first half over its second to the
    head. The last epoch is kept. fastai's own head, a concatenated pooling and two linear layers, is not used.
    """
    groups = layer_thirds(learner.network)
    base, multiplier = 2e-3, 100
    for parameter in (parameter for group in groups[:2] for parameter in group):
        parameter.requires_grad_(False)
    for layer in learner.network.modules():
        if isinstance(layer, _BatchNorm):
            for parameter in layer.parameters():
                parameter.requires_grad_(True)
    one_cycle(learner, groups, [base] * 3, epochs=range(1), warmup_share=0.99, divisor=25.0)
    for parameter in learner.network.parameters():
        parameter.requires_grad_(True)
    base /= 2
    rates = [base / multiplier, base / math.sqrt(multiplier), base]
    one_cycle(
        learner, groups, rates, epochs=range(1, learner.epochs), warmup_share=0.3, divisor=5.0
    )


def one_cycle(
    learner: Learner,
    groups: Sequence[Sequence[nn.Parameter]],
    rates: Sequence[float],
    *,
    epochs: range,
    warmup_share: float,
    divisor: float,
) -> None:
    """Train for these epochs by fastai's one-cycle policy: cosine up from rate / divisor, then down to rate / 1e5."""
    optimizer = torch.optim.AdamW(
        [{"params": list(group)} for group in groups], lr=1e-3, betas=(0.95, 0.99), eps=1e-5,
        weight_decay=0.01,
    )  # fmt: skip
    steps = len(epochs) * learner.steps_per_epoch
    learner.network.train()
    step = 0
    for epoch in epochs:
        for batch in learner.batches(epoch):
            progress = step / steps
            if progress < warmup_share:
                share = between(1 / divisor, 1, progress / warmup_share)
                momentum = between(0.95, 0.85, progress / warmup_share)
            else:
                done = (progress - warmup_share) / (1 - warmup_share)
                share, momentum = between(1, 1e-5, done), between(0.85, 0.95, done)
            set_rates(optimizer, [rate * share for rate in rates])
            for group in optimizer.param_groups:
                group["betas"] = (momentum, 0.99)
            learner.step(optimizer, batch)
            step += 1


def between(start: float, end: float, progress: float) -> float:
    """Return the value between them on half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def set_rates(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> None:
    """Set each group's learning rate; a single one is that of all."""
    for index, group in enumerate(optimizer.param_groups):
        group["lr"] = rates[min(index, len(rates) - 1)]


def layer_thirds(network: Network) -> list[list[nn.Parameter]]:
    """Return the parameters of the first half of the backbone's layers, of its second half, and of the head."""
    head = {id(parameter) for parameter in network.head.parameters()}
    backbone = [p for p in network.parameters() if id(p) not in head]
    half = len(backbone) // 2
    return [backbone[:half], backbone[half:], list(network.head.parameters())]


def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's."""
    with torch.no_grad():
        values = network.state_dict()
        for name, tensor in average.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(values[name], 1 - decay)
            else:
                tensor.copy_(values[name])


RECIPES: Mapping[str, Recipe] = {
    "fastai fine_tune": Recipe(
        train=fastai_fine_tune, batch_size=32, crop_area_min=0.35,
        source="docs.fast.ai: callback.schedule, vision.learner, vision.augment",
    ),
    "timm train.py": Recipe(
        train=timm_train, batch_size=32, crop_area_min=0.08,
        source="timm's train.py: its defaults with --pretrained",
    ),
    "torchvision tutorial": Recipe(
        train=torchvision_tutorial, batch_size=4, crop_area_min=0.08,
        source="pytorch.org/tutorials: Transfer Learning for Computer Vision",
    ),
    "Ultralytics classify": Recipe(
        train=ultralytics_classify, batch_size=16, crop_area_min=0.5, augment="rand",
        source="docs.ultralytics.com/usage/cfg: classification",
    ),
}  # fmt: skip
