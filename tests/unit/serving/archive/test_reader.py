"""Archives read from outside: valid ones, invalid contents, damaged files, copies that differ."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.archive.reader import read_archive, read_copy
from serving.errors import ArchiveError
from serving.rollout.trust import STRICT


def test_an_archive_with_our_own_code_is_read_and_trusted(archive_maker):
    archive = STRICT.accept(read_archive(archive_maker()))
    assert (archive.name, archive.version, archive.class_names) == ("tiny", "1.0", ("cat", "dog"))
    assert archive.probes[0].data == b"a photo"
    assert archive.file_name == "tiny-1.0.mar"


@pytest.mark.parametrize("key", ["handler", "configFile", "requirementsFile", "serializedFile"])
def test_a_manifest_that_points_outside_is_refused(archive_maker, key):
    with pytest.raises(ArchiveError, match="file outside the archive"):
        read_archive(archive_maker(model={key: "../../etc/passwd"}))


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("model_card.json", b"[]"),
        ("model_card.json", b'{"name": "other", "version": "1.0", "class_names": []}'),
        ("MAR-INF/MANIFEST.json", b"{"),
        ("MAR-INF/MANIFEST.json", b'{"model": 1}'),
        ("MAR-INF/MANIFEST.json", b"\xff"),
        ("probes/probes.json", b'{"tolerance": 2, "probes": []}'),
        ("probes/probes.json", b'{"tolerance": 0.1, "probes": [{"file": "no", "probabilities": [1, 0]}]}'),
        ("probes/probes.json", b'{"tolerance": 0.1, "probes": [{"file": "0.jpg", "probabilities": [1]}]}'),
        ("probes/probes.json", b'{"tolerance": 0.1, "probes": [{"file": "0.jpg", "probabilities": [1, NaN]}]}'),
        ("probes/probes.json", b"[" * 100_000),
    ],
)  # fmt: skip
def test_invalid_contents_are_refused(archive_maker, member, content):
    with pytest.raises(ArchiveError, match="not a headswap archive"):
        read_archive(archive_maker(files={member: content}))


def test_a_model_whose_name_is_a_path_is_refused(archive_maker):
    card = {"name": "../x", "version": "1.0", "class_names": ["cat", "dog"]}
    path = archive_maker(
        files={"model_card.json": json.dumps(card).encode()}, model={"modelName": "../x"}
    )
    with pytest.raises(ArchiveError, match="cannot be part of a file name"):
        read_archive(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_files_that_are_not_archives_are_refused(tmp_path, content):
    path = tmp_path / "x.mar"
    path.write_bytes(content)
    with pytest.raises(ArchiveError):
        read_archive(path)
    with pytest.raises(ArchiveError, match="there is no archive"):
        read_archive(tmp_path / "absent.mar")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)  # fmt: skip
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
def test_damaged_archives_are_refused_in_one_line_or_still_intact(archive_maker, changes, cut):
    whole = bytearray(archive_maker().read_bytes())
    # Most of the file is code; damage to the directory at its end is what a reader notices.
    for place, value in changes:
        whole[-int(place * 4000) - 1 if value % 2 else int(place * len(whole))] = value
    path = archive_maker("damaged.mar")
    path.write_bytes(whole[: int(len(whole) * cut)] if cut < 0.5 else whole)
    message = ""
    try:
        STRICT.accept(read_archive(path))
    except ArchiveError as error:
        message = str(error)
    assert "\n" not in message


def test_a_file_that_changes_while_it_is_copied_is_detected(archive_maker):
    archive = read_archive(archive_maker())
    other = archive_maker("other.mar", files={"notes.txt": b"x"})
    with pytest.raises(ArchiveError, match="has changed since"):
        read_copy(other, archive)
