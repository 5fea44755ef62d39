"""The one class TorchServe loads. At an archive's root this file lies next to the package `handlers`.

Everything that depends on TorchServe's interface is here: its context in, statuses and headers out.
"""

import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
if (_HERE / "handlers").is_dir() and sys.path[0] != str(_HERE):
    # The archive's own package, whatever version of it may be installed on the host.
    sys.path.insert(0, str(_HERE))

from handlers.api.inputs import REPEATED_INPUTS  # noqa: E402
from handlers.api.responses import JSON_TYPE, to_json  # noqa: E402
from handlers.classifier import load_classifier  # noqa: E402
from handlers.errors import HandlerError  # noqa: E402
from handlers.metrics import count_load_failure  # noqa: E402

logger = logging.getLogger(__name__)


class HeadswapHandler:
    """An image classifier for TorchServe 0.12, whose context has no type annotations, hence `Any`."""

    def __init__(self) -> None:
        self._classifier: Any = None

    def initialize(self, context: Any) -> None:
        """Load the archive, replay its probes and warm everything up.

        Raises:
            RuntimeError: the archive cannot be served. TorchServe reports this class; any other would end the worker.
        """
        # Pillow warns about odd but readable files: one line per such upload would flood the server's log.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        restore_gpu_names(os.environ)
        record_repeated_inputs()
        properties = context.system_properties
        try:
            self._classifier = load_classifier(
                Path(properties["model_dir"]),
                model_config=context.model_yaml_config,
                gpu_id=_parse_gpu_id(properties.get("gpu_id")),
                metric_cache=context.metrics,
            )
        except HandlerError as error:
            logger.error("%s", error)
            count_load_failure(context)
            raise RuntimeError(str(error)) from None

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[bytes]:
        """Return one body per item of the batch; their statuses and headers go into the context."""
        headers = [context.get_all_request_header(index) for index in range(len(data))]
        if headers and headers[0].get("describe") == "True":
            return [self._describe(context, index) for index in range(len(data))]
        responses = self._classifier.respond(data, headers)
        bodies: list[Any] = [None] * len(data)
        for index, response in enumerate(responses):
            context.set_response_content_type(index, response.content_type)
            for name, value in response.headers.items():
                context.set_response_header(index, name, value)
            context.set_response_status(response.status, response.phrase, index)
            bodies[index] = response.body
        return bodies

    def _describe(self, context: Any, index: int) -> bytes:
        context.set_response_content_type(index, JSON_TYPE)
        return to_json(self._classifier.describe())


def record_repeated_inputs() -> None:
    """Let each request know which of its inputs came more than once.

    TorchServe's worker receives all fields of a form and passes them on in a dict, where the last of one name remains.
    The difference to Content-Length would not show a lost photo smaller than the file names of a form may be.
    """
    from ts.service import Service

    read_batch = Service.retrieve_data_for_inference
    if getattr(read_batch, "records_repeated_inputs", False):
        return

    def read_batch_and_record(batch: Any) -> Any:
        processors, items, request_ids = read_batch(batch)
        for request, processor in zip(batch, processors, strict=True):
            counts = Counter(parameter["name"] for parameter in request["parameters"])
            if len(counts) < len(request["parameters"]):
                repeated = [name for name, count in counts.items() if count > 1]
                processor.get_request_properties()[REPEATED_INPUTS] = repeated
        return processors, items, request_ids

    read_batch_and_record.records_repeated_inputs = True  # type: ignore[attr-defined]
    Service.retrieve_data_for_inference = staticmethod(read_batch_and_record)


def restore_gpu_names(environment: MutableMapping[str, str]) -> None:
    """Give CUDA back the UUIDs that serving/gpus.py hid from TorchServe's frontend."""
    names = environment.get("HEADSWAP_CUDA_VISIBLE_DEVICES")
    if names:
        environment["CUDA_VISIBLE_DEVICES"] = names


def _parse_gpu_id(gpu_id: Any) -> int | None:
    return int(gpu_id) if gpu_id is not None and int(gpu_id) >= 0 else None
