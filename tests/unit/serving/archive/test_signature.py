"""Signatures and keys: made for one archive by one key, never overwritten, never mixed up."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.archive.reader import read_archive
from serving.archive.signature import make_keys, sign, signature_of
from serving.errors import InputError, SignatureError
from serving.rollout.live_record import Deployment, entry_of
from serving.rollout.trust import STRICT, Trust, copy_signature


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
