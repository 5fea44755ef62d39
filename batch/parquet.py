"""Answers as a Parquet file: one row per photo, the columns of `headswap predict --csv` and the error's code."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batch.errors import ExtraError
from batch.sources import PYARROW
from serving.client.results import Prediction
from serving.errors import RequestError
from storage.atomic import atomic_path

# Of a file that cannot be read: the handler's codes are about what was read.
UNREADABLE = "unreadable_file"


class PartWriter:
    """Writes and reads files of a model's answers, of `top_k` classes a photo."""

    def __init__(self, *, model: str, version: str, top_k: int) -> None:
        """Raises ExtraError where pyarrow is not installed."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ModuleNotFoundError:
            raise ExtraError("pyarrow", needed_for="--out", command=PYARROW) from None
        self._arrow = pyarrow
        self._parquet = pyarrow.parquet
        self._model = {"model": model, "version": version}
        self._schema = _schema(pyarrow, top_k)

    def write(
        self, path: Path, rows: Iterable[tuple[str, Prediction | RequestError | OSError]]
    ) -> None:
        """Write the file, which has its name only once it is whole and on the disk. Raises OSError."""
        table = self._arrow.Table.from_pylist(
            [self._row(name, result) for name, result in rows], schema=self._schema
        )
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            self._parquet.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())

    def count_rows(self, path: Path) -> int | None:
        """Return the number of rows; None where the file is not there, or damaged."""
        try:
            return int(self._parquet.read_metadata(path).num_rows)
        except (OSError, ValueError):
            return None

    def count_errors(self, path: Path) -> Counter[str]:
        """Return how many photos of the file have which error code. Raises OSError."""
        column = self._parquet.read_table(path, columns=["error_code"])["error_code"]
        return Counter(code for code in column.to_pylist() if code is not None)

    def _row(self, name: str, result: Prediction | RequestError | OSError) -> dict[str, Any]:
        # A file name is bytes, a Parquet text is UTF-8: other bytes are written as \udcNN.
        path = name.encode(errors="backslashreplace").decode()
        if isinstance(result, Exception):
            code = UNREADABLE if isinstance(result, OSError) else result.code
            message = str(result).encode(errors="backslashreplace").decode()
            return {"path": path, **self._model, "error_code": code, "error": message}
        row: dict[str, Any] = {
            "path": path,
            **self._model,
            "outcome": result.outcome,
            "unknown_score": result.unknown_score,
        }
        for rank, score in enumerate(result.scores, start=1):
            row |= {f"label_{rank}": score.label, f"probability_{rank}": score.probability}
        return row


def _schema(arrow: Any, top_k: int) -> Any:
    text, number = arrow.string(), arrow.float64()
    scores = [
        column
        for rank in range(1, top_k + 1)
        for column in ((f"label_{rank}", text), (f"probability_{rank}", number))
    ]
    return arrow.schema(
        [
            ("path", text),
            ("model", text),
            ("version", text),
            *scores,
            ("outcome", text),
            ("unknown_score", number),
            ("error_code", text),
            ("error", text),
        ]
    )
