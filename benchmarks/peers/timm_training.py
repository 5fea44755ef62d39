"""timm's recipe: its dataset, transforms, loader, network and optimizer, as its train.py combines them.

    python timm_training.py PHOTOS ARCHITECTURE EPOCHS WORKERS

Prints JSON: the number of photos per epoch and the seconds of each epoch. Colour jitter, which train.py turns on, is
off, because the others have none.
"""

import sys

import torch
from timm import create_model
from timm.data import create_dataset, create_loader
from timm.optim import create_optimizer_v2
from training_epochs import BATCH_SIZE, SIZE_PX, time_epochs, train_epoch


def main() -> None:
    folder, architecture, epochs, workers = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5])
    dataset = create_dataset("", root=f"{folder}/train", split="train", is_training=True)
    loader = create_loader(
        dataset,
        input_size=(3, SIZE_PX, SIZE_PX),
        batch_size=BATCH_SIZE,
        is_training=True,
        color_jitter=None,
        num_workers=workers,
        device=torch.device("cpu"),
    )
    network = create_model(architecture, num_classes=len(dataset.reader.class_to_idx))
    optimizer = create_optimizer_v2(network, opt="sgd", lr=0.1, momentum=0.9, weight_decay=2e-5)
    time_epochs(epochs, lambda _: train_epoch(network, optimizer, loader))


if __name__ == "__main__":
    main()
