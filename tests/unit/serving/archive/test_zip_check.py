"""Inconsistent zips: paths that lead out, links, and contents that readers would see differently."""

import io
import stat
import zipfile

import pytest

from serving.archive.reader import read_archive
from serving.errors import ArchiveError


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
