"""Parts stay within their limit and lose nothing; wheels lose their compression and nothing else."""

import base64
import hashlib
import io
import json
import lzma
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.errors import BenchmarkError
from benchmarks.gpu.bundle.parts import MANIFEST, Item, distribute, size_of, write_parts
from benchmarks.gpu.bundle.wheels import rewrite_stored

LIMIT = 1000


@given(st.dictionaries(st.text(min_size=1), st.integers(0, LIMIT), max_size=40))
def test_every_file_is_in_one_part_and_no_part_is_too_large(sizes: dict[str, int]) -> None:
    parts = distribute(sizes, LIMIT)
    assert sorted(name for part in parts for name in part) == sorted(sizes)
    assert all(sum(sizes[name] for name in part) <= LIMIT for part in parts)
    # First fit: no two parts would fit into one.
    totals = sorted(sum(sizes[name] for name in part) for part in parts)
    assert len(totals) < 2 or totals[0] + totals[1] > LIMIT


def test_a_file_larger_than_a_part_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="big has 1001 bytes"):
        distribute({"big": LIMIT + 1}, LIMIT)


def test_parts_hold_the_installer_and_what_the_manifest_lists(tmp_path: Path) -> None:
    installer = tmp_path / "install.sh"
    installer.write_text("#!/bin/sh\n")
    contents = {f"folder/{n}": hashlib.sha256(bytes([n])).digest() * (20 + n) for n in range(5)}
    items = []
    for target, data in contents.items():
        source = tmp_path / target.replace("/", "-")
        source.write_bytes(data)
        items.append(Item(source=source, target=target))
    out = tmp_path / "out"
    (out / "part-9").mkdir(parents=True)
    limit = 2300
    parts = write_parts(items, installer, out, cache=tmp_path / "cache", limit=limit)
    assert sorted(path.name for path in out.iterdir()) == [part.name for part in parts]
    unpacked = {}
    for part in parts:
        assert size_of(part) <= limit
        assert (part / "install.sh").read_text() == installer.read_text()
        manifest = json.loads((part / MANIFEST).read_text())
        assert (part.name, manifest["parts"]) == (f"part-{manifest['part']}", len(parts))
        for entry in manifest["files"]:
            data = (part / entry["file"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry["sha256"]
            unpacked[entry["target"]] = lzma.decompress(data)
    assert unpacked == contents


def test_a_wheel_and_its_jar_are_stored_and_recorded_anew(tmp_path: Path) -> None:
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("A.class", b"class" * 100)
    record = "p/server.jar,sha256=old,1\np/__init__.py,sha256=same,2\np-1.0.dist-info/RECORD,,\n"
    members = {
        "p/server.jar": jar.getvalue(),
        "p/__init__.py": b"x" * 99,
        "p-1.0.dist-info/RECORD": record.encode(),
    }
    wheel = tmp_path / "p-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
        program = zipfile.ZipInfo("p/bin/java")
        program.external_attr = 0o100755 << 16
        packed.writestr(program, b"run")
    first = rewrite_stored(wheel, tmp_path / "stored" / wheel.name).read_bytes()
    assert rewrite_stored(wheel, tmp_path / "again" / wheel.name).read_bytes() == first
    with zipfile.ZipFile(io.BytesIO(first)) as packed:
        assert all(member.compress_type == zipfile.ZIP_STORED for member in packed.infolist())
        assert packed.read("p/__init__.py") == members["p/__init__.py"]
        assert packed.getinfo("p/bin/java").external_attr >> 16 == 0o100755
        stored_jar = packed.read("p/server.jar")
        with zipfile.ZipFile(io.BytesIO(stored_jar)) as inner:
            assert inner.infolist()[0].compress_type == zipfile.ZIP_STORED
            assert inner.read("A.class") == b"class" * 100
        digest = base64.urlsafe_b64encode(hashlib.sha256(stored_jar).digest()).rstrip(b"=").decode()
        lines = packed.read("p-1.0.dist-info/RECORD").decode().splitlines()
    assert lines[0] == f"p/server.jar,sha256={digest},{len(stored_jar)}"
    assert lines[1:] == record.splitlines()[1:]
