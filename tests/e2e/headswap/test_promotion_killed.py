"""A promotion that is killed between any two steps: the old version serves, and the next command clears up."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.client import HttpClient
from serving.client.http_management import HttpManagement
from serving.errors import InputError
from serving.rollout import journal
from serving.rollout.live_record import read_record, write_record
from serving.rollout.promotion import promote, rollback
from serving.settings import ServerSettings

PROMOTE = """
import sys
from pathlib import Path
from serving.rollout.promotion import promote
from serving.settings import load_settings
config, store, state, archive = map(Path, sys.argv[1:5])
settings = load_settings(config=config, model_store=store, state=state)
def report(sentence):
    print(sentence, flush=True)
    if sys.argv[5] in sentence:
        input()
promote(settings, archive, report=report)
"""


def quiet(_: str) -> None:
    pass


def promote_until(served: ServerSettings, archive: Path, sentence: str) -> None:
    """Start a promotion in a process of its own and kill it outright when it has reported `sentence`."""
    command = [
        sys.executable, "-c", PROMOTE, served.config, served.model_store, served.state, archive, sentence,
    ]  # fmt: skip
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if sentence in line:
                break
        else:
            pytest.fail("the promotion ended by itself")
        process.kill()
        process.wait(10)


def answering(served: ServerSettings, photo: bytes) -> str:
    with HttpClient(served) as client:
        return client.predict("clothing", photo).version


@pytest.mark.parametrize("sentence", ["is in ", "is loaded", "its probes differ"])
def test_killed_before_the_switch_its_newcomer_is_unloaded(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes], sentence: str
) -> None:
    promote_until(served, archives["2.0"], sentence)
    assert answering(served, photos[0]) == "1.0"
    said: list[str] = []
    with pytest.raises(InputError, match="no version before it"):
        rollback(served, None, report=said.append)
    assert set(HttpManagement(served).versions("clothing")) == {"1.0"}
    assert journal.read_intent(served.model_store) is None
    if sentence != "is in ":
        assert "cut off" in said[-1]


def test_killed_between_switch_and_record_the_old_version_is_live_again(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    # "is live" is reported after set-default and before the record is written.
    promote_until(served, archives["2.0"], "2.0 is live")
    assert answering(served, photos[0]) == "2.0"
    assert read_record(served.model_store)["clothing"].live.version == "1.0"
    with pytest.raises(InputError, match="no version before it"):
        rollback(served, None, report=quiet)
    assert answering(served, photos[0]) == "1.0"
    assert set(HttpManagement(served).versions("clothing")) == {"1.0"}


def test_killed_after_the_record_what_evicted_is_unloaded(
    served: ServerSettings, archives: dict[str, Path], photos: list[bytes]
) -> None:
    promote(served, archives["2.0"], report=quiet)
    # As promoting 2.0 with --keep 0 leaves it, killed before 1.0 is unloaded.
    record = read_record(served.model_store)
    record["clothing"] = record["clothing"].without("1.0")
    write_record(served.model_store, record)
    intent = journal.Intent(model="clothing", version="2.0", was_loaded=False, evicted=("1.0",))
    journal.begin(served.model_store, intent)
    with pytest.raises(InputError, match="no version before it"):
        rollback(served, None, report=quiet)
    assert set(HttpManagement(served).versions("clothing")) == {"2.0"}
    assert answering(served, photos[0]) == "2.0"


def test_a_copy_that_was_cut_off_is_removed(
    served: ServerSettings, archives: dict[str, Path]
) -> None:
    part = served.model_store / ".clothing-9.0.mar.part"
    shutil.copyfile(archives["2.0"], part)
    with pytest.raises(InputError, match="no version before it"):
        rollback(served, None, report=quiet)
    assert not part.exists()
