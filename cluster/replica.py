"""A replica: one process that serves one version with the archive's own `handlers`.

Nothing here imports `handlers` before the archive's folder is first on the path. The process may have imported this
installation's `handlers` before: Ray reuses processes, and reading an archive needs `handlers.contract`.
"""

import asyncio
import importlib
import logging
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import ray
import yaml
from ray import serve

from cluster.archives import extracted_folder
from cluster.message import Parameter, read_message
from cluster.replica_logs import open_replica_logs

logger = logging.getLogger(__name__)


Message = tuple[list[Parameter], dict[str, str]]
"""The inputs of a request, and its headers."""


class Answer(NamedTuple):
    """A response of the handler, in plain types: it travels between processes that have different `handlers`."""

    status: int
    phrase: str
    content_type: str
    headers: dict[str, str]
    body: bytes


class Replica:
    """The Serve deployment of one version; `cluster/deployment.py` sets its numbers."""

    def __init__(self, archive_sha256: str, *, logs: str | None = None) -> None:
        """Load the archive, replay its probes and warm everything up; what fails here, Serve reports."""
        # Pillow warns about odd but readable files: one line per such upload would flood the log.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        metrics = open_replica_logs(logs)
        self._folder = extracted_folder(archive_sha256)
        self._classifier = _load(self._folder, metrics)
        self._repeated_key: str = importlib.import_module("handlers.api.inputs").REPEATED_INPUTS
        # One thread: the handler, like a TorchServe worker, takes one batch at a time. Apart from the event loop,
        # which answers Serve's health checks meanwhile.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="handler")
        self._batch_on_gpu(None if _gpu_id() is None else _model_config(self._folder))

    async def respond(self, parameters: list[Parameter], headers: dict[str, str]) -> Answer:
        """Return the handler's response to one request as TorchServe's frontend passes it on."""
        if self._has_gpu:
            answer: Answer = await self._respond_in_batch((parameters, headers))
            return answer
        (answer,) = await self._respond_to([(parameters, headers)])
        return answer

    async def describe(self) -> dict[str, Any]:
        """Return the model card, how it is served here, and this process."""
        return {**self._classifier.describe(), "pid": os.getpid()}

    def _batch_on_gpu(self, model_config: dict[str, Any] | None) -> None:
        """Compute batches as the archive's settings say; None: single requests, on a CPU."""
        self._has_gpu = model_config is not None
        if model_config is not None:
            # As TorchServe reads them; the delay is in milliseconds.
            self._respond_in_batch.set_max_batch_size(max(1, int(model_config.get("batchSize", 1))))
            wait_s = model_config.get("maxBatchDelay", 1) / 1000
            self._respond_in_batch.set_batch_wait_timeout_s(wait_s)

    @serve.batch  # type: ignore[untyped-decorator]
    async def _respond_in_batch(self, requests: list[Message]) -> list[Answer]:
        return await self._respond_to(requests)

    async def _respond_to(self, requests: list[Message]) -> list[Answer]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._respond_here, requests)

    def _respond_here(self, requests: list[Message]) -> list[Answer]:
        read = [
            read_message(parameters, headers, repeated_key=self._repeated_key)
            for parameters, headers in requests
        ]
        responses = self._classifier.respond(
            [item for item, _ in read], [headers for _, headers in read]
        )
        return [
            Answer(r.status, r.phrase, r.content_type, dict(r.headers), bytes(r.body))
            for r in responses
        ]


def _load(folder: Path, metrics: Any) -> Any:
    """Return the archive's classifier, of the archive's own code."""
    use_own_handlers(folder)
    classifier = importlib.import_module("handlers.classifier")
    return classifier.load_classifier(
        folder, model_config=_model_config(folder), gpu_id=_gpu_id(), metric_cache=metrics
    )


def use_own_handlers(folder: Path) -> None:
    """Make `import handlers` find the package in the folder, whatever this process has imported before."""
    for name in [n for n in sys.modules if n == "handlers" or n.startswith("handlers.")]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _model_config(folder: Path) -> dict[str, Any]:
    path = folder / "model-config.yaml"
    return (yaml.safe_load(path.read_bytes()) or {}) if path.is_file() else {}


def _gpu_id() -> int | None:
    # Ray shows a process only its own GPUs, which CUDA counts from 0.
    return 0 if ray.get_gpu_ids() else None
