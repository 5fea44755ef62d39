"""Untrusted archives: paths that lead out, inconsistent zips, foreign code, signatures."""

import io
import json
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.archive.reader import read_archive, read_copy
from serving.archive.signature import make_keys, sign, signature_of
from serving.errors import ArchiveError, ForeignCodeError, InputError, SignatureError
from serving.rollout.live_record import Deployment, entry_of
from serving.rollout.trust import STRICT, Trust, copy_signature, refuse_outside


def test_an_archive_with_our_own_code_is_read_and_trusted(archive_maker):
    archive = STRICT.accept(read_archive(archive_maker()))
    assert (archive.name, archive.version, archive.class_names) == ("tiny", "1.0", ("cat", "dog"))
    assert archive.probes[0].data == b"a photo"
    assert archive.file_name == "tiny-1.0.mar"


@pytest.mark.parametrize(
    "name",
    ["../outside", "handlers/../../outside", "/etc/outside", "a\\..\\..\\outside", "C:/outside", ".."],
)  # fmt: skip
def test_paths_that_lead_out_of_the_archive_are_refused(archive_maker, name):
    with pytest.raises(ArchiveError, match="leads out of the archive"):
        read_archive(archive_maker(files={name: b"x"}))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(archive_maker, kind):
    path = archive_maker()
    with zipfile.ZipFile(path, "a") as packed:
        member = zipfile.ZipInfo("weights.safetensors")
        member.create_system = 3
        member.external_attr = (kind | 0o777) << 16
        packed.writestr(member, "/etc/passwd")
    with pytest.raises(ArchiveError, match="not a regular file"):
        read_archive(path)


@pytest.mark.parametrize("key", ["handler", "configFile", "requirementsFile", "serializedFile"])
def test_a_manifest_that_points_outside_is_refused(archive_maker, key):
    with pytest.raises(ArchiveError, match="file outside the archive"):
        read_archive(archive_maker(model={key: "../../etc/passwd"}))


def test_names_that_differ_in_case_only_are_refused(archive_maker):
    path = archive_maker()
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("Entry.py", "overwrites entry.py where case is ignored")
    with pytest.raises(ArchiveError, match="twice"):
        read_archive(path)


def test_bytes_that_the_directory_does_not_list_are_refused(archive_maker, tmp_path):
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, "w") as packed:
        packed.writestr("handlers/images/decoding.py", "import os")
        end = packed.start_dir
    good = archive_maker().read_bytes()
    path = tmp_path / "prefixed.mar"
    path.write_bytes(hidden.getvalue()[:end] + good)
    with pytest.raises(ArchiveError, match="does not list"):
        read_archive(path)


def test_a_name_that_differs_between_directory_and_local_header_is_refused(archive_maker):
    path = archive_maker(files={"weights.onnx": b"x"})
    # The first occurrence is in the local header, the last in the directory.
    path.write_bytes(path.read_bytes().replace(b"weights.onnx", b"sitecust.pth", 1))
    with pytest.raises(ArchiveError, match="differently in its directory"):
        read_archive(path)


def test_sizes_that_follow_the_contents_are_refused(tmp_path):
    class NoSeeking(io.RawIOBase):
        def __init__(self):
            self.written = b""

        def writable(self):
            return True

        def write(self, data):
            self.written += bytes(data)
            return len(data)

    pipe = NoSeeking()
    with zipfile.ZipFile(pipe, "w") as packed:
        packed.writestr("model_card.json", "{}")
    path = tmp_path / "piped.mar"
    path.write_bytes(pipe.written)
    with pytest.raises(ArchiveError, match="differently in its directory"):
        read_archive(path)


@pytest.mark.parametrize(
    ("files", "model", "reason"),
    [
        (
            {"handlers/images/decoding.py": b"import os"},
            {},
            "its handlers/images/decoding.py differs",
        ),
        ({"entry.py": b""}, {}, "its entry.py differs"),
        ({"handlers/extra.py": b""}, {}, "it holds handlers/extra.py"),
        ({"torch.py": b""}, {}, "it holds torch.py"),
        ({"torch/__init__.pyc": b""}, {}, "it holds torch/__init__.pyc"),
        ({"site.pth": b""}, {}, "it holds site.pth"),
        ({"model.pt": b""}, {}, "it holds model.pt"),
        ({"probes/sub/x.so": b""}, {}, "it holds probes/sub/x.so"),
        ({}, {"handler": "mine.py:run"}, "its handler is 'mine.py:run', not 'entry.py'"),
        ({}, {"requirementsFile": "requirements.txt"}, "other settings or requirements"),
        ({}, {"configFile": "other.yaml"}, "other settings"),
    ],
)
def test_foreign_code_is_refused_unless_allowed(archive_maker, files, model, reason):
    archive = read_archive(archive_maker(files=files, model=model))
    with pytest.raises(ForeignCodeError, match="--allow-custom-handler") as caught:
        STRICT.accept(archive)
    assert reason in str(caught.value)
    assert Trust(allow_custom_handler=True).accept(archive) is archive


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


def test_an_archive_outside_the_model_store_is_refused(archive_maker, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    outside = archive_maker()
    inside = store / "tiny-1.0.mar"
    inside.symlink_to(outside)
    for path in (outside, inside, store / ".." / outside.name):
        with pytest.raises(ArchiveError, match="--allow-outside-store"):
            refuse_outside(path, store)
    inside.unlink()
    inside.write_bytes(outside.read_bytes())
    refuse_outside(inside, store)
    refuse_outside(store / "absent.mar", store)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "release.key", make_keys(tmp_path / "release.key")


def test_a_signed_archive_is_trusted_and_its_signature_is_copied_with_it(
    archive_maker, keys, tmp_path
):
    private, public = keys
    trust = Trust(public_key=public)
    archive = read_archive(archive_maker())
    with pytest.raises(SignatureError, match="is not signed"):
        trust.accept(archive)
    assert sign(archive, private) == signature_of(archive.path)
    trust.accept(archive)
    copy = tmp_path / "store" / "tiny-1.0.mar"
    copy.parent.mkdir()
    copy.write_bytes(archive.path.read_bytes())
    copy_signature(archive.path, copy)
    trust.accept(read_archive(copy))
    deployment = Deployment(live=entry_of(archive, why=""))
    trust.check_record(copy.parent, {"tiny": deployment})
    signature_of(copy).unlink()
    with pytest.raises(SignatureError):
        trust.check_record(copy.parent, {"tiny": deployment})
    STRICT.check_record(copy.parent, {"tiny": deployment})


def test_a_signature_of_another_key_or_another_archive_is_refused(archive_maker, keys, tmp_path):
    private, public = keys
    other_key = tmp_path / "other_key.key"
    make_keys(other_key)
    archive = read_archive(archive_maker())
    sign(archive, other_key)
    with pytest.raises(SignatureError, match="was not made for this archive"):
        Trust(public_key=public).accept(archive)
    sign(archive, private)
    changed = read_archive(archive_maker(files={"notes.txt": b"x"}))
    with pytest.raises(SignatureError, match="was not made for this archive"):
        Trust(public_key=public).accept(changed)


@given(st.binary(max_size=100))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)  # fmt: skip
def test_arbitrary_bytes_are_not_a_signature(archive_maker, tmp_path_factory, content):
    archive = read_archive(archive_maker())
    public = make_keys(tmp_path_factory.mktemp("keys") / "key")
    signature_of(archive.path).write_bytes(content)
    with pytest.raises(SignatureError):
        Trust(public_key=public).accept(archive)


def test_keys_are_private_never_overwritten_and_not_mixed_up(archive_maker, keys):
    private, public = keys
    assert private.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="name a new file"):
        make_keys(private)
    archive = read_archive(archive_maker())
    with pytest.raises(InputError, match="not an ed25519 private key"):
        sign(archive, public)
    for path in (private, Path("/absent")):
        with pytest.raises(InputError, match="not an ed25519 public key"):
            Trust(public_key=path).accept(archive)
