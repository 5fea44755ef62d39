"""torchvision's own recipe: ImageFolder, Pillow, RandomResizedCrop and DataLoader, as references/classification trains.

    python torchvision_training.py PHOTOS ARCHITECTURE EPOCHS WORKERS

Prints JSON: the number of photos per epoch and the seconds of each epoch.
"""

import sys

import torch
import torchvision
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from training_epochs import BATCH_SIZE, SIZE_PX, time_epochs, train_epoch


def make_loader(folder: str, workers: int) -> DataLoader:
    """Return a loader with torchvision's training preset: crop, flip, tensor, float, normalise."""
    views = v2.Compose(
        [
            v2.RandomResizedCrop(SIZE_PX, antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
            v2.ToPureTensor(),
        ]
    )
    return DataLoader(
        ImageFolder(f"{folder}/train", views),
        batch_size=BATCH_SIZE,
        shuffle=True,
        num_workers=workers,
    )


def main() -> None:
    folder, architecture, epochs, workers = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5])
    loader = make_loader(folder, workers)
    network = torchvision.models.get_model(architecture, num_classes=len(loader.dataset.classes))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    time_epochs(epochs, lambda _: train_epoch(network, optimizer, loader))


if __name__ == "__main__":
    main()
