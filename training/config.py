"""The settings of a training run: one dataclass is the flags of `headswap train` and the run's config.json."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

from handlers.engines.efficientnet_lite import EFFICIENTNET_LITES
from handlers.images.limits import (
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_HEADER_PIXELS,
    DEFAULT_MAX_PIXELS,
    DecodeLimits,
)
from handlers.images.preprocessing import Fit
from training.batch_size import BATCH_SIZE_MAX, LEARNING_RATE_MAX, choose_learning_rate
from training.errors import ConfigError
from training.group_by import check_group_by

Freeze = Literal["none", "backbone", "gradual"]
BatchNormStats = Literal["auto", "frozen", "train"]
Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["one-cycle", "cosine"]
Augment = Literal["crop", "trivial", "rand"]
Mix = Literal["none", "mixup", "cutmix", "both"]
Balance = Literal["none", "loss", "sampling"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
GreyRange = Literal["full", "minmax"] | int
LogTarget = Literal["tensorboard", "mlflow"]

# Settings of earlier versions, in config.json and as flags, and what they are called now.
RENAMED_SETTINGS = {"moving_batchnorm": "batchnorm_stats", "body_lr_ratio": "backbone_lr_ratio"}
# Their values, by the setting's earlier name. `all` also updated the statistics of frozen layers, to no advantage.
RENAMED_VALUES: Mapping[str, Mapping[str, str]] = {
    "freeze": {"body": "backbone"},
    "moving_batchnorm": {"none": "frozen", "learning": "train", "all": "train"},
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Consecutive epochs that share one learning rate schedule: those of the head alone, or of the whole network."""

    first_epoch: int
    epochs: int
    peak_learning_rate: float


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    data: Path
    """Folder with one folder of photos per class, or with train/, val/ and test/ that each have these; or the name of
    a dataset: stl10, cifar10, food101, ..."""
    out: Path = Path("runs/latest")
    """Run folder to create."""
    architecture: str = "efficientnet_lite1"
    """efficientnet_lite0, 1 or 2, or a torchvision classification model whose head is a single linear layer."""
    weights: str = "auto"
    """Initial weights: embedded (included), imagenet (torchvision's, downloaded), none (random), or a file. auto:
    embedded for EfficientNet-Lite, whose included weights are those of ImageNet, and imagenet for all others."""
    photos_per_class: int = 0
    """Train on at most this many photos per class; 0 uses all. Validation and test sets stay complete."""
    group_by: str | None = None
    """Keep photos of one group (a product, patient or video) in one split: folder (inside the class folder), exif-burst
    (one camera, at most 5 s apart), or a regular expression searched in the path, such as 'patient[0-9]+'."""
    labels: Path | None = None
    """CSV file of path,label or path,label,split, instead of class folders; paths may be relative to --data."""
    also: Path | None = None
    """Further labelled photos, such as captured/labelled: a folder for each class of --data. They join train only."""
    new_classes: bool = False
    """Make classes of --also that --data lacks classes of the network; their photos are split as --data is, by hash."""
    unlabeled: Path | None = None
    """Unlabeled photos, any folder or stl10: they get pseudo-labels and are trained on if val agrees better then."""
    image_size_px: int = 224
    """Side length of the network's square input."""
    resize_ratio: float = 1.143
    """In evaluation and serving, the photo's shorter side divided by the side of the centre crop."""
    fit: Fit = "crop"
    """crop: the centre of the photo; what lies at the edges of wide photos is lost. pad: the whole photo, between bars.
    stretch: the whole photo, distorted to a square. In training and serving; --resize-ratio is for crop alone."""
    grey_range: GreyRange = "full"
    """Of greyscale of more than 8 bits, in training and serving: full, minmax (from each file's darkest value to its
    brightest), or the value of white, such as 4095 for 12 bits in files of 16."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Photos with more pixels are skipped; of a baseline JPEG those after scaling count. Archives serve by it too."""
    max_header_pixels: int = DEFAULT_MAX_HEADER_PIXELS
    """Baseline JPEGs with more pixels before scaling are skipped."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Larger files are skipped."""
    freeze: Freeze = "none"
    """none: train the head first, then the whole network. backbone: train the head only, on features computed once.
    gradual: train the head first, then unfreeze the backbone block by block, starting next to the head."""
    batchnorm_stats: BatchNormStats = "auto"
    """Running statistics of BatchNorm: frozen, or train to update them in the layers being trained. auto freezes
    pretrained statistics and trains those of --weights none. Several GPU processes synchronise them in every step;
    several CPU processes normalise by their own photos and take over process 0's statistics after each epoch."""
    head_epochs: int = 20
    """Epochs of the head alone, on features computed once: nearly free. Skipped with --weights none."""
    epochs: int = 10
    """Epochs of the whole network after those; ignored with --freeze backbone."""
    patience_epochs: int = 0
    """Early stopping: stop after this many epochs without a better validation score; 0 never stops early."""
    batch_size: int = 0
    """Photos per optimizer step, over all processes. 0 chooses: 32, and down to 8 in epochs of the whole network on
    less than 1,000 photos."""
    accumulate_steps: int = 1
    """Compute each batch in this many parts and accumulate their gradients: the same step with less memory."""
    optimizer: Optimizer = "adamw"
    """sgd (Nesterov, momentum 0.9) needs learning rates 20 times as high and a --weight-decay of 0.0005."""
    schedule: Schedule = "one-cycle"
    """Learning rate schedule: one-cycle warms up for 30 % of the epochs and decays, cosine only decays."""
    warmup_epochs: float = 0.0
    """Warm up for this many epochs instead of what the schedule does; at most half of them."""
    learning_rate: float = 0.0
    """Peak learning rate of the head while the whole network is trained. 0 chooses: 0.0003 for steps of 8 photos, in
    proportion for others up to 0.001, and 0.001 with --weights none."""
    head_learning_rate: float = 5e-4
    """Peak learning rate of the head while it is trained alone."""
    backbone_lr_ratio: float = 1.0
    """The backbone's learning rate divided by the head's, while the whole network is trained. 1 with --weights none."""
    weight_decay: float = 0.05
    """Weight decay of matrices and convolution kernels; normalisation parameters and biases have none."""
    label_smoothing: float = 0.1
    """Label smoothing."""
    crop_area_min: float = 0.35
    """Smallest random crop, as a fraction of the photo's area."""
    augment: Augment = "crop"
    """crop: random resized crops and horizontal flips. trivial, rand: TrivialAugment or RandAugment after them."""
    mix: Mix = "none"
    """Mix the photos of a batch by MixUp, by CutMix, or by either at random, in the epochs of the whole network."""
    balance: Balance = "none"
    """For imbalanced classes: loss gives photos of rare classes more weight, sampling shows them more often."""
    ema_decay: float = 0.0
    """Decay per step of an exponential moving average of the weights, which is what is validated and saved. 0 turns it
    off."""
    finetuned_share: float = 0.0
    """How far, of the way from the weights with only the head trained to the fine-tuned ones, those lie that are
    validated and saved. 1 is plain fine-tuning; 0 chooses N / (N + 10) for N train photos per class."""
    clip_norm: float = 5.0
    """Maximum norm of the gradient, clipped beyond it."""
    seed: int = 0
    """Seed of the split, the choice of --photos-per-class, the order, the augmentation and the new head."""
    device: Device = "auto"
    """auto uses a GPU where there is one."""
    precision: Precision = "auto"
    """Format to compute in. auto: float32 on a CPU, where bfloat16 was slower; bfloat16 on a GPU, float16 on older
    ones."""
    compile: bool = False
    """Use torch.compile: half a minute or more at the start, so for long runs on a GPU and not on a CPU."""
    log: tuple[LogTarget, ...] = ()
    """Follow the run in TensorBoard (event files in the run folder), in MLflow (MLFLOW_TRACKING_URI), or in both."""
    resume: bool = False
    """Resume the interrupted run in --out; all other flags must be those it began with."""

    def __post_init__(self) -> None:
        self._check_range("photos_per_class", 0, 1_000_000_000)
        self._check_range("image_size_px", 32, 1024)
        self._check_range("resize_ratio", 1, 2)
        for limit in ("max_pixels", "max_header_pixels", "max_bytes"):
            self._check_range(limit, 1, 2**40)
        if isinstance(self.grey_range, int):
            self._check_range("grey_range", 1, 2**32 - 1)
        self._check_range("head_epochs", 0, 10_000)
        self._check_range("epochs", 0, 10_000)
        if self.batch_size:
            # BatchNorm cannot train on a single photo.
            self._check_range("batch_size", 2, 65_536)
        self._check_range("accumulate_steps", 1, self.batch_size or BATCH_SIZE_MAX)
        self._check_range("patience_epochs", 0, 10_000)
        self._check_range("warmup_epochs", 0, 10_000)
        if self.learning_rate:
            self._check_range("learning_rate", 1e-8, 10)
        self._check_range("head_learning_rate", 1e-8, 10)
        self._check_range("backbone_lr_ratio", 0, 10)
        self._check_range("weight_decay", 0, 1)
        self._check_range("label_smoothing", 0, 0.9)
        self._check_range("crop_area_min", 0.01, 1)
        self._check_range("ema_decay", 0, 0.99999)
        self._check_range("finetuned_share", 0, 1)
        self._check_range("clip_norm", 1e-6, 1e6)
        if unknown := sorted(set(self.log) - set(get_args(LogTarget))):
            raise ConfigError(
                f"--log must be {' or '.join(get_args(LogTarget))}, not {', '.join(unknown)}."
            )
        if self.group_by is not None:
            check_group_by(self.group_by)
        if self.weights == "none" and self.freeze != "none":
            raise ConfigError(
                f"--freeze {self.freeze} cannot be combined with --weights none: it would freeze a backbone of random "
                "weights. Use --freeze none, or other weights."
            )
        if self.unlabeled is not None and self.weights == "none":
            raise ConfigError(
                "--unlabeled cannot be combined with --weights none: pseudo-labels come from pretrained features. Give "
                "other weights, or leave --unlabeled out."
            )
        if self.total_epochs == 0:
            raise ConfigError(
                "there is no epoch to train; set --epochs or --head-epochs to 1 or more."
            )

    def _check_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            flag = "--" + name.replace("_", "-")
            raise ConfigError(f"{flag} must be between {low} and {high}, not {value}.")

    @property
    def limits(self) -> DecodeLimits:
        """Return which photos are small enough to be read."""
        return DecodeLimits(
            max_pixels=self.max_pixels,
            max_header_pixels=self.max_header_pixels,
            max_bytes=self.max_bytes,
        )

    @property
    def effective_weights(self) -> str:
        """Return the initial weights, `auto` resolved."""
        if self.weights != "auto":
            return self.weights
        return "embedded" if self.architecture in EFFICIENTNET_LITES else "imagenet"

    @property
    def effective_batchnorm_stats(self) -> Literal["frozen", "train"]:
        """Return what happens to BatchNorm's running statistics, `auto` resolved.

        Frozen statistics gained ResNet-18 5.7 and 2.6 points with 30 and 300 photos per class; with 10, and for
        EfficientNet-B0, the difference was chance (benchmarks/results/batchnorm.json).
        """
        if self.batchnorm_stats != "auto":
            return self.batchnorm_stats
        return "train" if self.weights == "none" else "frozen"

    def learning_rate_of_step(self, labeled_per_step: int) -> float:
        """Return the head's peak learning rate while the whole network learns, in steps of so many labelled photos."""
        if self.learning_rate:
            return self.learning_rate
        if self.weights == "none":
            return LEARNING_RATE_MAX
        return choose_learning_rate(labeled_per_step)

    @property
    def effective_backbone_lr_ratio(self) -> float:
        """Return the backbone's learning rate divided by the head's: 1 for random weights, which need as much."""
        return 1.0 if self.weights == "none" else self.backbone_lr_ratio

    @property
    def total_epochs(self) -> int:
        """Return how many epochs the run has, those of the head included."""
        return self.frozen_epochs + (0 if self.freeze == "backbone" else self.epochs)

    @property
    def frozen_epochs(self) -> int:
        """Return how many epochs, the first ones, train the head alone: 0 where the backbone's weights are random."""
        return 0 if self.weights == "none" else self.head_epochs

    @property
    def interpolates(self) -> bool:
        """Say whether weights between head-only and fine-tuned ones are saved: where there are both."""
        return self.finetuned_share < 1 and 0 < self.frozen_epochs < self.total_epochs

    def is_backbone_frozen(self, epoch: int) -> bool:
        """Say whether an epoch, counted from 0, trains the head alone."""
        return epoch < self.frozen_epochs

    def stage_of(self, epoch: int, *, labeled_per_step: int) -> Stage:
        """Return the stage that an epoch, counted from 0 and of steps of so many labelled photos, belongs to."""
        if self.is_backbone_frozen(epoch):
            return Stage(
                first_epoch=0, epochs=self.frozen_epochs, peak_learning_rate=self.head_learning_rate
            )
        return Stage(
            first_epoch=self.frozen_epochs,
            epochs=self.epochs,
            peak_learning_rate=self.learning_rate_of_step(labeled_per_step),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what config.json holds: each setting by its name, paths as text."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the config of a run's config.json, which may be of an earlier version.

        Raises:
            ConfigError: a setting is unknown, missing or out of range.
        """
        values = dict(current_setting(name, value) for name, value in values.items())
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"config.json has unknown settings: {', '.join(unknown)}.")
        try:
            paths = {"data": Path(values["data"]), "out": Path(values["out"])}
            for name in ("labels", "also", "unlabeled"):
                if values.get(name) is not None:
                    paths[name] = Path(values[name])
            # Earlier versions kept plainly fine-tuned weights.
            values.setdefault("finetuned_share", 1.0)
            targets = {"log": tuple(values["log"])} if "log" in values else {}
            return cls(**{**values, **paths, **targets})
        except (KeyError, TypeError) as error:
            raise ConfigError(f"config.json is not that of a run: {error!r}.") from None


def current_setting(name: str, value: Any) -> tuple[str, Any]:
    """Return a setting's present name and value, given those of this or of an earlier version."""
    renamed = RENAMED_VALUES.get(name, {})
    if isinstance(value, str):
        value = renamed.get(value, value)
    return RENAMED_SETTINGS.get(name, name), value


def quick() -> TrainConfig:
    """Return a run of minutes on two CPU cores: 160 px, half the pixels of 224; ten epochs of the whole network."""
    return TrainConfig(data=Path("photos"), image_size_px=160, resize_ratio=1.0)


def best() -> TrainConfig:
    """Return a longer run for a GPU, from ImageNet weights.

    Every photo is seen 40 times, so it is varied by TrivialAugment each time, which has no hyperparameters (Müller and
    Hutter, 2021). Averaged weights are validated and saved, as those of the last step depend on its photos. The
    backbone has a lower learning rate, for its features are good already. One-cycle brings its own warm-up. Photos are
    not mixed: torchvision's recipes do that in runs of 600 epochs.
    """
    return TrainConfig(
        data=Path("photos"), epochs=40, batch_size=64, augment="trivial", ema_decay=0.99,
        learning_rate=1e-3, backbone_lr_ratio=0.3,
    )  # fmt: skip


PRESETS: Mapping[str, Callable[[], TrainConfig]] = {"quick": quick, "best": best}
