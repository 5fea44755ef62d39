"""What a training run is told: one dataclass is the flags and the run's config.json."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from training.errors import ConfigError

Freeze = Literal["none", "body"]
Device = Literal["auto", "cpu", "cuda"]


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
    image_size_px: int = 224
    """Side of the square the network sees."""
    resize_ratio: float = 1.143
    """When judging and serving: the photo's shorter side over that of the square cut from it."""
    freeze: Freeze = "none"
    """none: head first, then the whole network. body: the head alone, on features computed once."""
    head_epochs: int = 20
    """Epochs of the head alone, on features computed once: nearly free."""
    epochs: int = 10
    """Epochs of the whole network after that; ignored with --freeze body."""
    batch_size: int = 32
    """Photos a step."""
    learning_rate: float = 1e-3
    """Highest rate of the head while the whole network learns (AdamW, one cycle)."""
    head_learning_rate: float = 3e-3
    """Highest rate while the head learns alone."""
    body_lr_ratio: float = 0.5
    """The body's rate as a share of the head's: pretrained features need less."""
    weight_decay: float = 0.05
    """AdamW's, on matrices and filters; norms and biases have none."""
    label_smoothing: float = 0.1
    """Share of the target spread over all classes."""
    crop_area_min: float = 0.35
    """Smallest random crop, as a share of the photo's area."""
    ema_decay: float = 0.0
    """Decay per step of the averaged weights that are judged and kept; 0 keeps the last step's."""
    clip_norm: float = 5.0
    """Largest norm of the gradient."""
    seed: int = 0
    """Of the split, the draw of --photos-per-class, the order, the crops and the new head."""
    device: Device = "auto"
    """auto takes a GPU where there is one."""
    resume: bool = False
    """Go on where the run in --out was interrupted; the flags must be the same."""

    def __post_init__(self) -> None:
        self._check_range("photos_per_class", 0, 1_000_000_000)
        self._check_range("image_size_px", 32, 1024)
        self._check_range("resize_ratio", 1, 2)
        self._check_range("head_epochs", 0, 10_000)
        self._check_range("epochs", 0, 10_000)
        self._check_range("batch_size", 1, 65_536)
        self._check_range("learning_rate", 1e-8, 10)
        self._check_range("head_learning_rate", 1e-8, 10)
        self._check_range("body_lr_ratio", 0, 10)
        self._check_range("weight_decay", 0, 1)
        self._check_range("label_smoothing", 0, 0.9)
        self._check_range("crop_area_min", 0.01, 1)
        self._check_range("ema_decay", 0, 0.99999)
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
    def total_epochs(self) -> int:
        return self.head_epochs + (0 if self.freeze == "body" else self.epochs)

    def is_body_frozen(self, epoch: int) -> bool:
        """Say whether an epoch (from 0) trains the head alone: its number decides."""
        return epoch < self.head_epochs

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
            return cls(**{**values, "data": Path(values["data"]), "out": Path(values["out"])})
        except (KeyError, TypeError) as error:
            raise ConfigError(f"config.json is not a run's: {error!r}.") from None


def quick() -> TrainConfig:
    """Return minutes on two CPU cores: 160 px, ten passes of the whole network."""
    return TrainConfig(data=Path("photos"), image_size_px=160, resize_ratio=1.0)


def best() -> TrainConfig:
    """Return a longer run for a GPU, from ImageNet weights."""
    return TrainConfig(
        data=Path("photos"), epochs=40, batch_size=64, ema_decay=0.99, body_lr_ratio=0.3
    )


PRESETS: Mapping[str, Callable[[], TrainConfig]] = {"quick": quick, "best": best}
