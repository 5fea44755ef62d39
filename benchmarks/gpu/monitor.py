"""How busy the GPU is, as nvidia-smi samples it every second beside a measurement."""

import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

STOP_TIMEOUT_S = 5


class GpuMonitor:
    """A context manager; afterwards `means` has the mean of each column that nvidia-smi dmon prints, such as `sm`.

    Empty where there is no nvidia-smi, or where the block was shorter than a sample.
    """

    def __init__(self) -> None:
        self.means: dict[str, float] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def __enter__(self) -> Self:
        program = shutil.which("nvidia-smi")
        if program is not None:
            self._output = tempfile.NamedTemporaryFile(prefix="dmon-")  # noqa: SIM115
            self._process = subprocess.Popen(
                [program, "dmon", "-s", "um", "-d", "1", "-i", "0"],
                stdout=self._output,
                stderr=subprocess.DEVNULL,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None or self._output is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.means = parse_dmon(Path(self._output.name).read_text(errors="replace"))
        self._output.close()


def parse_dmon(text: str) -> dict[str, float]:
    """Return the mean of each column of `nvidia-smi dmon`; the first line that begins with # names the columns."""
    columns: list[str] = []
    rows: list[list[str]] = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["#"]:
            columns = columns or words[1:]
        elif words and words[0].startswith("#"):
            columns = columns or [words[0][1:], *words[1:]]
        elif len(words) == len(columns):
            rows.append(words)
    means = {}
    for index, column in enumerate(columns):
        # A dash is what the device does not report.
        values = [float(row[index]) for row in rows if row[index].replace(".", "", 1).isdecimal()]
        if values:
            means[column] = round(statistics.fmean(values), 1)
    return means
