"""What the server is told: the user's config.properties, where things lie, and what Java gets of both."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from serving.errors import SettingsError
from serving.gpus import read_visible_gpus

LOOPBACK = "127.0.0.1"
DEFAULT_PORTS = {"http": 80, "https": 443}
METRICS_CONFIG = Path(__file__).with_name("metrics.yaml")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    config: Path
    model_store: Path
    state: Path
    properties: Mapping[str, str]
    listen: str | None = None
    """Overrides the host of the two inference addresses."""

    @property
    def inference_url(self) -> str:
        return self._url("inference_address", "http://127.0.0.1:8080")

    @property
    def management_url(self) -> str:
        return self._url("management_address", "http://127.0.0.1:8081")

    @property
    def metrics_url(self) -> str:
        return self._url("metrics_address", "http://127.0.0.1:8082")

    @property
    def grpc_target(self) -> str:
        return f"{LOOPBACK}:{self.properties.get('grpc_inference_port', '7070')}"

    @property
    def uses_tokens(self) -> bool:
        return self.properties.get("disable_token_authorization", "false") != "true"

    @property
    def key_file(self) -> Path:
        return self.state / "key_file.json"

    @property
    def worker_count(self) -> int:
        """Return the workers of a version: the user's number, else one a GPU, else one a core."""
        given = self.properties.get("default_workers_per_model")
        if given:
            return int(given)
        gpus = read_visible_gpus(os.environ).number_of_gpu
        return gpus or len(os.sched_getaffinity(0))

    def ports(self) -> dict[str, int]:
        """Return every port the server opens, by key."""
        keys = ("inference_address", "management_address", "metrics_address")
        urls = (self.inference_url, self.management_url, self.metrics_url)
        ports = {key: urlsplit(url).port or 80 for key, url in zip(keys, urls, strict=True)}
        ports["grpc_inference_port"] = int(self.properties.get("grpc_inference_port", "7070"))
        ports["grpc_management_port"] = int(self.properties.get("grpc_management_port", "7071"))
        return ports

    def _url(self, key: str, otherwise: str) -> str:
        """Return the address as a client on this machine reaches it."""
        parts = urlsplit(self.properties.get(key, otherwise))
        host = LOOPBACK if parts.hostname in (None, "0.0.0.0") else parts.hostname
        return f"{parts.scheme}://{host}:{parts.port or DEFAULT_PORTS[parts.scheme]}"

    def render(self, load_models: str) -> str:
        """Return the config.properties that Java gets."""
        properties = dict(self.properties)
        metrics = properties.get("metrics_config")
        # Without its declaration TorchServe drops a metric, so ours are declared where the user says nothing.
        declared = self.config.parent / metrics if metrics else METRICS_CONFIG
        properties["metrics_config"] = str(declared.resolve())
        if self.listen:
            parts = urlsplit(properties.get("inference_address", "http://127.0.0.1:8080"))
            properties["inference_address"] = f"{parts.scheme}://{self.listen}:{parts.port or 80}"
            properties["grpc_inference_address"] = self.listen
        number_of_gpu = read_visible_gpus(os.environ).number_of_gpu
        if number_of_gpu is not None:
            properties.setdefault("number_of_gpu", str(number_of_gpu))
        properties["default_workers_per_model"] = str(self.worker_count)
        properties["model_store"] = str(self.model_store.resolve())
        properties["load_models"] = load_models
        return "".join(f"{key}={value}\n" for key, value in properties.items())


def load_settings(
    *, config: Path, model_store: Path, state: Path, listen: str | None = None
) -> ServerSettings:
    """Return the settings.

    Raises:
        SettingsError: no such file, or a line that is no `key=value`.
    """
    try:
        text = config.read_text()
    except OSError as error:
        raise SettingsError(
            f"the configuration {str(config)!r} cannot be read ({error.strerror}); give --config, or run in the "
            "project's folder."
        ) from None
    return ServerSettings(
        config=config.resolve(),
        model_store=model_store,
        state=state,
        properties=parse_properties(text, source=str(config)),
        listen=listen,
    )


def parse_properties(text: str, *, source: str) -> dict[str, str]:
    """Return the keys and values of a Java properties file of plain `key=value` lines.

    Raises:
        SettingsError: another kind of line.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", "!")):
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise SettingsError(f"{source}, line {number}: {line!r} is no `key=value`.")
        found[key.strip()] = value.strip()
    return found
