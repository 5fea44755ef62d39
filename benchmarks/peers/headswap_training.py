"""headswap's own loop, timed as the peers' are: learning alone, neither judging nor saving.

    python headswap_training.py PHOTOS ARCHITECTURE EPOCHS

SGD, as the peers'; else the defaults.
"""

import sys
from pathlib import Path

from training_epochs import tell_epochs

from training.config import TrainConfig
from training.data.photos import read_photos
from training.distributed import ALONE
from training.fit.trainer import Trainer


def main() -> None:
    folder, architecture, epochs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    config = TrainConfig(
        data=folder, architecture=architecture, weights="none", head_epochs=0, epochs=epochs,
        optimizer="sgd", learning_rate=0.1,
    )  # fmt: skip
    photos = read_photos(folder, seed=config.seed)
    trainer = Trainer(config, photos, ALONE)
    photo_count = len(photos.of("train"))

    def learn(epoch: int) -> int:
        trainer.learn(epoch)
        return photo_count

    tell_epochs(epochs, learn)


if __name__ == "__main__":
    main()
