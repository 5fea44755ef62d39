"""headswap's training loop, timed like the peers': training alone, without evaluation or checkpoints.

    python headswap_training.py PHOTOS ARCHITECTURE EPOCHS

SGD, as the peers; otherwise the defaults.
"""

import sys
from pathlib import Path

from training_epochs import time_epochs

from training.config import TrainConfig
from training.data.photos import read_photos
from training.distributed import SINGLE_PROCESS
from training.fit.trainer import Trainer


def main() -> None:
    folder, architecture, epochs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    config = TrainConfig(
        data=folder, architecture=architecture, weights="none", head_epochs=0, epochs=epochs,
        optimizer="sgd", learning_rate=0.1,
    )  # fmt: skip
    photos = read_photos(folder, seed=config.seed)
    trainer = Trainer(config, photos, SINGLE_PROCESS)
    photo_count = len(photos.of("train"))

    def train_epoch(epoch: int) -> int:
        trainer.train_epoch(epoch)
        return photo_count

    time_epochs(epochs, train_epoch)


if __name__ == "__main__":
    main()
