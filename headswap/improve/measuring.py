"""How often a new version and the live one are right: on the old test photos, and on the new ones held out for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headswap.improve.snapshot import link_all

if TYPE_CHECKING:
    from handlers.engines.network import Network
    from handlers.images.preprocessing import PreprocessingSpec
    from training.data.photos import Photo
    from training.run import Run


@dataclass(frozen=True, kw_only=True)
class Counted:
    right: int
    n: int


def measure_old(run: "Run", live_classes: Sequence[str]) -> Counted:
    """Return on how many of its test photos of the live version's classes an evaluated run is right.

    Raises:
        RunError: evaluation.json is missing or damaged.
    """
    names = run.data()["class_names"]
    photos = [p for p in run.evaluation()["photos"] if names[p["label"]] in live_classes]
    right = sum(photo["top_classes"][0]["index"] == photo["label"] for photo in photos)
    return Counted(right=right, n=len(photos))


def link_old_test(run: "Run", live_classes: Sequence[str], folder: Path, table: Path) -> None:
    """Link the run's test photos of the live version's classes into the folder, and write the table of their labels.

    A table, because a class may have a name that no folder can have.

    Raises:
        RunError, DataError: the run's photos are gone. OSError: the folder or the table cannot be written.
    """
    from storage.atomic import atomic_write
    from training.audit.tables import write_table
    from training.own_photos import read_own_photos

    photos = read_own_photos(run)
    labelled = [(photo.path, photos.class_names[photo.label]) for photo in photos.of("test")]
    old = [(path, name) for path, name in labelled if name in live_classes]
    links = link_all([(path, Path()) for path, _ in old], folder)
    rows = [(link.as_posix(), name) for link, (_, name) in zip(links, old, strict=True)]
    atomic_write(table, write_table([("path", "label"), *rows]))


def measure_new(
    run: "Run", live_classes: Sequence[str], live_weights: Path, folder: Path
) -> tuple[Counted, Counted]:
    """Return how often the run's network and the live one are right on the photos of the class folders in `folder`.

    The live network is wrong on classes that it lacks.

    Raises:
        DataError: the folder cannot be read. RunError: the run's weights are damaged.
    """
    from safetensors.torch import load_file

    from handlers.engines.network import build_network
    from training.data.also import labelled_photos
    from training.data.dataset import preprocessing_of
    from training.evaluation.evaluation import load_network

    config, names = run.config(), run.data()["class_names"]
    photos, spec = labelled_photos(folder, names), preprocessing_of(config)
    live = build_network(
        architecture=config.architecture, class_count=len(live_classes), preprocessing=spec
    )
    live.backbone_and_head.load_state_dict(load_file(live_weights))
    return (
        _count(load_network(run), names, photos, names, spec),
        _count(live.eval(), live_classes, photos, names, spec),
    )


def _count(
    network: "Network",
    outputs: Sequence[str],
    photos: Sequence["Photo"],
    names: Sequence[str],
    spec: "PreprocessingSpec",
) -> Counted:
    """Return how often the network, whose outputs have these names, is right on photos whose labels index `names`."""
    from training.evaluation.evaluation import compute_logits

    logits, labels = compute_logits(network, photos, spec)
    predicted = [outputs[index] for index in logits.argmax(1).tolist()]
    right = sum(
        name == names[label] for name, label in zip(predicted, labels.tolist(), strict=True)
    )
    return Counted(right=right, n=len(photos))
