"""torchvision's own recipe: ImageFolder, Pillow, RandomResizedCrop and DataLoader, as references/classification trains.

    python torchvision_training.py PHOTOS ARCHITECTURE EPOCHS WORKERS

Prints JSON: how many photos an epoch has, and the seconds of each epoch.
"""

import json
import sys
import time

import torch
import torchvision
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

BATCH_SIZE = 32
SIZE_PX = 224


def make_loader(folder: str, workers: int) -> DataLoader:
    """Return its training preset: crop, flip, tensor, float, normalise."""
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
    criterion = torch.nn.CrossEntropyLoss()
    network.train()
    epoch_s = []
    for _ in range(epochs):
        began = time.perf_counter()
        for photos, labels in loader:
            loss = criterion(network(photos), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        epoch_s.append(time.perf_counter() - began)
    print(json.dumps({"photos": len(loader.dataset), "epoch_s": epoch_s}))


if __name__ == "__main__":
    main()
