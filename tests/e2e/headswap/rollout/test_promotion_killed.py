"""A promotion that is killed between any two steps: the old version serves, and the next command cleans up."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.errors import InputError
from serving.rollout import journal, leftovers
from serving.rollout.live_record import read_record, write_record
from serving.rollout.promotion import promote
from serving.rollout.rollback import rollback
from serving.rollout.session import ServerSession

PROMOTE = """
import sys
from pathlib import Path
from serving.rollout.promotion import promote
from serving.rollout.session import ServerSession
from serving.settings import load_settings
config, store, state, archive = map(Path, sys.argv[1:5])
settings = load_settings(config=config, model_store=store, state=state)
def report(sentence):
    print(sentence, flush=True)
    if sys.argv[5] in sentence:
        input()
with ServerSession(settings) as session:
    promote(session, archive, report=report)
"""


def quiet(_: str) -> None:
    """Report nothing."""


def promote_until(session: ServerSession, archive: Path, sentence: str) -> None:
    """Start a promotion in a process of its own and kill it when it has reported `sentence`."""
    settings = session.settings
    command = [
        sys.executable, "-c", PROMOTE, settings.config, settings.model_store, settings.state, archive, sentence,
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


def answering(session: ServerSession, photo: bytes) -> str:
    return session.http.predict("clothing", photo).version


def loaded(session: ServerSession) -> set[str]:
    return set(session.management.versions("clothing"))


@pytest.mark.parametrize("sentence", ["is in ", "is loaded", "its probes differ"])
def test_the_candidate_of_a_promotion_killed_before_the_switch_is_unloaded(
    session: ServerSession, archives: dict[str, Path], photos: list[bytes], sentence: str
) -> None:
    promote_until(session, archives["2.0"], sentence)
    assert answering(session, photos[0]) == "1.0"
    sentences: list[str] = []
    with pytest.raises(InputError, match="no version before it"):
        rollback(session, None, report=sentences.append)
    assert loaded(session) == {"1.0"}
    assert journal.read_intent(session.settings.model_store) is None
    if sentence != "is in ":
        assert "that was killed" in sentences[-1]


def test_a_promotion_killed_between_switch_and_record_is_undone(
    session: ServerSession, archives: dict[str, Path], photos: list[bytes]
) -> None:
    # "is live" is reported after the default is set and before the record is written.
    promote_until(session, archives["2.0"], "2.0 is live")
    assert answering(session, photos[0]) == "2.0"
    assert read_record(session.settings.model_store)["clothing"].live.version == "1.0"
    with pytest.raises(InputError, match="no version before it"):
        rollback(session, None, report=quiet)
    assert answering(session, photos[0]) == "1.0"
    assert loaded(session) == {"1.0"}


def test_a_promotion_killed_after_the_record_is_completed(
    session: ServerSession, archives: dict[str, Path], photos: list[bytes]
) -> None:
    promote(session, archives["2.0"], report=quiet)
    # As promoting 2.0 with --keep 0 leaves it, killed before 1.0 is unloaded.
    model_store = session.settings.model_store
    record = read_record(model_store)
    record["clothing"] = record["clothing"].without("1.0")
    write_record(model_store, record)
    intent = journal.Intent(model="clothing", version="2.0", was_loaded=False, evicted=("1.0",))
    journal.begin(model_store, intent)
    with pytest.raises(InputError, match="no version before it"):
        rollback(session, None, report=quiet)
    assert loaded(session) == {"2.0"}
    assert answering(session, photos[0]) == "2.0"


def test_an_incomplete_copy_is_removed(
    session: ServerSession, archives: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "LEFTOVER_AFTER_S", 0)
    part = session.settings.model_store / ".clothing-9.0.mar.part"
    shutil.copyfile(archives["2.0"], part)
    with pytest.raises(InputError, match="no version before it"):
        rollback(session, None, report=quiet)
    assert not part.exists()
