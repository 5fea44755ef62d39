"""What a training run is told: one dataclass is the flags and the run's config.json."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from training.errors import ConfigError

Freeze = Literal["none", "body", "gradual"]
MovingBatchNorm = Literal["auto", "learning", "all", "none"]
Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["one-cycle", "cosine"]
Augment = Literal["crop", "trivial", "rand"]
Mix = Literal["none", "mixup", "cutmix", "both"]
Balance = Literal["none", "loss", "sampling"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]

# Of the averaged weights that label photos: they remember some 100 steps.
TEACHER_DECAY = 0.99


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    data: Path
    """Folder of class folders or of train/, val/, test/ with such; or stl10, cifar10, food101, ..."""
    out: Path = Path("runs/latest")
    """Run folder to make."""
    architecture: str = "efficientnet_b0"
    """A torchvision classifier whose head is one linear layer."""
    weights: str = "imagenet"
    """Start: imagenet (torchvision's, downloaded), embedded (small, comes along), none, a file."""
    photos_per_class: int = 0
    """Learn from at most so many photos of a class; 0 takes all. Val and test stay whole."""
    unlabeled: Path | None = None
    """Photos without labels to learn from as well, once everything learns: any folder, or stl10."""
    image_size_px: int = 224
    """Side of the square the network sees."""
    resize_ratio: float = 1.143
    """When judging and serving: the photo's shorter side over that of the square cut from it."""
    freeze: Freeze = "none"
    """none: head first, then the whole network. body: the head alone, on features computed once.
    gradual: head first, then block by block from the head backwards."""
    moving_batchnorm: MovingBatchNorm = "auto"
    """Whose BatchNorm statistics move: none's; learning, of what learns; all, of all photos pass through.
    auto: none's, but with --weights none of what learns, for there are none yet."""
    head_epochs: int = 20
    """Epochs of the head alone, on features computed once: nearly free. None with --weights none."""
    epochs: int = 10
    """Epochs of the whole network after that; ignored with --freeze body."""
    patience_epochs: int = 0
    """Stop after so many epochs in which val became no better; 0 goes on to the end."""
    batch_size: int = 32
    """Photos a step."""
    accumulate_steps: int = 1
    """Compute a step in so many parts: as many photos, less memory."""
    optimizer: Optimizer = "adamw"
    """sgd (Nesterov, 0.9) wants rates 20 times as high and a --weight-decay of 0.0005."""
    schedule: Schedule = "one-cycle"
    """How the rate moves: one-cycle rises for 30 % of the epochs and falls, cosine only falls."""
    warmup_epochs: float = 0.0
    """Let the rate rise for so many epochs instead of the schedule's own; at most half of them."""
    learning_rate: float = 1e-3
    """Highest rate of the head while the whole network learns."""
    head_learning_rate: float = 3e-3
    """Highest rate while the head learns alone."""
    backbone_lr_ratio: float = 0.5
    """The body's rate as a share of the head's: pretrained features need less. 1 with --weights none."""
    weight_decay: float = 0.05
    """On matrices and filters; norms and biases have none."""
    label_smoothing: float = 0.1
    """Share of the target spread over all classes; none with --unlabeled, where labels must be sure."""
    crop_area_min: float = 0.35
    """Smallest random crop, as a share of the photo's area."""
    augment: Augment = "crop"
    """crop: random crops and flips. trivial, rand: after them TrivialAugment or RandAugment."""
    mix: Mix = "none"
    """Mix the photos of a batch by mixup, by cutmix or by both in turn, once everything learns."""
    balance: Balance = "none"
    """For rare classes: loss weighs their photos more, sampling shows them more often."""
    ema_decay: float = 0.0
    """Decay per step of the averaged weights that are judged and kept; 0 keeps the last step's, but
    with --unlabeled means 0.99, for they are the teacher there."""
    clip_norm: float = 5.0
    """Largest norm of the gradient."""
    seed: int = 0
    """Of the split, the draw of --photos-per-class, the order, the crops and the new head."""
    device: Device = "auto"
    """auto takes a GPU where there is one."""
    precision: Precision = "auto"
    """auto: bfloat16 where the device computes with it, float16 on older GPUs, else float32."""
    compile: bool = False
    """torch.compile the network: half a minute or more at the start; for long runs on a GPU, not for a CPU."""
    resume: bool = False
    """Go on where the run in --out was interrupted; the flags must be the same."""

    def __post_init__(self) -> None:
        self._check_range("photos_per_class", 0, 1_000_000_000)
        self._check_range("image_size_px", 32, 1024)
        self._check_range("resize_ratio", 1, 2)
        self._check_range("head_epochs", 0, 10_000)
        self._check_range("epochs", 0, 10_000)
        # BatchNorm cannot train on a single photo.
        self._check_range("batch_size", 2, 65_536)
        self._check_range("accumulate_steps", 1, self.batch_size)
        self._check_range("patience_epochs", 0, 10_000)
        self._check_range("warmup_epochs", 0, 10_000)
        self._check_range("learning_rate", 1e-8, 10)
        self._check_range("head_learning_rate", 1e-8, 10)
        self._check_range("backbone_lr_ratio", 0, 10)
        self._check_range("weight_decay", 0, 1)
        self._check_range("label_smoothing", 0, 0.9)
        self._check_range("crop_area_min", 0.01, 1)
        self._check_range("ema_decay", 0, 0.99999)
        self._check_range("clip_norm", 1e-6, 1e6)
        if self.weights == "none" and self.freeze != "none":
            raise ConfigError(
                f"--freeze {self.freeze} with --weights none would keep a body that has learned "
                "nothing; give --freeze none, or other weights."
            )
        if self.unlabeled is not None and self.freeze == "body":
            raise ConfigError(
                "--unlabeled teaches the body, which --freeze body keeps as it is; leave one of them out."
            )
        if self.total_epochs == 0:
            raise ConfigError(
                "no epoch is left to train; give --epochs or --head-epochs 1 or more."
            )

    def _check_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            flag = "--" + name.replace("_", "-")
            raise ConfigError(f"{flag} is {value}; it must lie between {low} and {high}.")

    @property
    def smoothing(self) -> float:
        """Return the label smoothing; none with unlabeled photos, whose labels have to be sure ones."""
        return self.label_smoothing if self.unlabeled is None else 0.0

    @property
    def moving_statistics(self) -> Literal["learning", "all", "none"]:
        """Return whose BatchNorm statistics move, decided.

        Standing still gained ResNet-18 5.7 and 2.6 points with 30 and 300 photos of a class; with 10, and for
        EfficientNet-B0, the difference was chance (benchmarks/batchnorm.json).
        """
        if self.moving_batchnorm != "auto":
            return self.moving_batchnorm
        return "learning" if self.weights == "none" else "none"

    @property
    def decay(self) -> float:
        """Return the decay of the averaged weights, 0 where none are kept."""
        return self.ema_decay or (0.0 if self.unlabeled is None else TEACHER_DECAY)

    @property
    def total_epochs(self) -> int:
        return self.frozen_epochs + (0 if self.freeze == "body" else self.epochs)

    @property
    def frozen_epochs(self) -> int:
        """How many epochs, the first ones, train the head alone: none on a body of random weights."""
        return 0 if self.weights == "none" else self.head_epochs

    def is_backbone_frozen(self, epoch: int) -> bool:
        """Say whether an epoch (from 0) trains the head alone: its number decides."""
        return epoch < self.frozen_epochs

    def to_dict(self) -> dict[str, Any]:
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the config of a run's config.json.

        Raises:
            ConfigError: a flag is unknown or missing.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(
                f"config.json has flags this version does not know: {', '.join(unknown)}."
            )
        try:
            paths = {"data": Path(values["data"]), "out": Path(values["out"])}
            if values.get("unlabeled") is not None:
                paths["unlabeled"] = Path(values["unlabeled"])
            return cls(**{**values, **paths})
        except (KeyError, TypeError) as error:
            raise ConfigError(f"config.json is not a run's: {error!r}.") from None


def quick() -> TrainConfig:
    """Return minutes on two CPU cores: 160 px, half the pixels of 224; ten passes of the whole network."""
    return TrainConfig(data=Path("photos"), image_size_px=160, resize_ratio=1.0)


def best() -> TrainConfig:
    """Return a longer run for a GPU, from ImageNet weights.

    Every photo is seen 40 times, so each time it is varied by TrivialAugment, which has nothing to set (Müller and
    Hutter, 2021). Averaged weights are judged and kept: the last step's depend on its photos. The body moves
    slowly, for its features are good already. One-cycle brings its own warm-up, and the precision chooses itself.
    Photos are not mixed: torchvision's recipes do that in runs of 600 epochs.
    """
    return TrainConfig(
        data=Path("photos"), epochs=40, batch_size=64, augment="trivial", ema_decay=0.99,
        backbone_lr_ratio=0.3,
    )  # fmt: skip


PRESETS: Mapping[str, Callable[[], TrainConfig]] = {"quick": quick, "best": best}
