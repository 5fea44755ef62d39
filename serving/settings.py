"""The server's settings: the user's config.properties, the folders, and the config.properties that Java gets."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from serving.errors import SettingsError
from serving.gpus import read_visible_gpus
from serving.tls import Tls, check_key, pinned
from serving.workers import WorkerCount, count_workers

if TYPE_CHECKING:
    from handlers.capture.settings import CaptureSettings

LOOPBACK = "127.0.0.1"
DEFAULT_PORTS = {"http": 80, "https": 443}
CERTIFICATE, PRIVATE_KEY = "certificate_file", "private_key_file"
# The length of sockaddr_un.sun_path without its final zero. TorchServe numbers the sockets from 9000.
SOCKET_PATH_LIMIT_BYTES = 107
LONGEST_SOCKET_NAME = ".ts.sock.65535"
TORCHSERVE_REQUEST_LIMIT = "6553500"
METRICS_CONFIG = Path(__file__).with_name("metrics.yaml")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    config: Path
    """The user's config.properties."""
    model_store: Path
    """Folder of the archives and of live.json."""
    state: Path
    """Folder of the running server: tokens, logs, temporary files."""
    properties: Mapping[str, str]
    """The keys and values of `config`."""
    listen: str | None = None
    """Overrides the host of the two inference addresses."""
    capture: "CaptureSettings | None" = None
    """Which photos the workers keep for labelling; None: none."""

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
        """Return `host:port` of the gRPC inference API, as a client on this machine reaches it."""
        return self._grpc_target("inference", otherwise="7070", listen=self.listen)

    @property
    def grpc_management_target(self) -> str:
        """Return `host:port` of the gRPC management API, as a client on this machine reaches it."""
        return self._grpc_target("management", otherwise="7071", listen=None)

    @property
    def certificate_file(self) -> Path | None:
        """Return the server's certificate; None if it does not use TLS."""
        return self._file(CERTIFICATE) if CERTIFICATE in self.properties else None

    @property
    def tls(self) -> Tls | None:
        """Return how a client on this machine verifies the server. Raises SettingsError for an unusable certificate."""
        return None if self.certificate_file is None else pinned(self.certificate_file)

    @property
    def uses_tokens(self) -> bool:
        return self.properties.get("disable_token_authorization", "false") != "true"

    @property
    def key_file(self) -> Path:
        return self.state / "key_file.json"

    @property
    def request_limit_bytes(self) -> int:
        """Return how large a request may be. Raises SettingsError if the configuration has no number there."""
        value = self.properties.get("max_request_size", TORCHSERVE_REQUEST_LIMIT)
        if not value.isdecimal():
            raise SettingsError(
                f"{self.config} has max_request_size={value}; it must be a whole number of bytes."
            )
        return int(value)

    @property
    def workers(self) -> WorkerCount:
        """Return the number of workers per version, and why. Raises SettingsError as `count_workers` does."""
        return count_workers(self.properties, os.environ)

    @property
    def worker_count(self) -> int:
        return self.workers.count

    def ports(self) -> dict[str, int]:
        """Return the five ports that the server opens, by their key in config.properties."""
        keys = ("inference_address", "management_address", "metrics_address")
        urls = (self.inference_url, self.management_url, self.metrics_url)
        ports = {key: urlsplit(url).port or 80 for key, url in zip(keys, urls, strict=True)}
        ports["grpc_inference_port"] = int(self.properties.get("grpc_inference_port", "7070"))
        ports["grpc_management_port"] = int(self.properties.get("grpc_management_port", "7071"))
        return ports

    def _url(self, key: str, otherwise: str) -> str:
        """Return the address as a client on this machine reaches it."""
        parts = urlsplit(self.properties.get(key, otherwise))
        if parts.scheme not in DEFAULT_PORTS:
            raise SettingsError(
                f"{self.config} has {key}={self.properties[key]}; it must be an http:// or https:// address."
            )
        scheme = self._scheme(key, parts.scheme)
        host = self.listen if key == "inference_address" and self.listen else parts.hostname
        return f"{scheme}://{_reachable(host)}:{parts.port or DEFAULT_PORTS[parts.scheme]}"

    def _scheme(self, key: str, written: str) -> str:
        # Two lines turn TLS on for the inference API; management and metrics stay as written, on loopback.
        return "https" if key == "inference_address" and self.certificate_file else written

    def _grpc_target(self, api: str, *, otherwise: str, listen: str | None) -> str:
        host = _reachable(listen or self.properties.get(f"grpc_{api}_address"))
        return f"{host}:{self.properties.get(f'grpc_{api}_port', otherwise)}"

    def _file(self, key: str) -> Path:
        """Return the absolute path of a file that config.properties names relative to its own folder."""
        return (self.config.parent / self.properties[key]).resolve()

    def render(self, load_models: str) -> str:
        """Return the text of the config.properties that Java gets; `load_models` is as TorchServe takes it.

        Raises:
            SettingsError: the state folder's path is too long for the workers' sockets, the key and the certificate
            cannot be used for TLS, or there is no file of metrics.
        """
        self._check_socket_path()
        properties = dict(self.properties)
        metrics = properties.get("metrics_config")
        # TorchServe drops undeclared metrics, so the handler's are declared unless the user gives a file.
        declared = self.config.parent / metrics if metrics else METRICS_CONFIG
        if not declared.is_file():
            # Without it every worker would end as it starts, and say so in a log only.
            raise SettingsError(
                f"metrics_config in {self.config} is {metrics!r}, and there is no file {declared}; give the file that "
                "declares the metrics, or remove the line for headswap's own."
            )
        properties["metrics_config"] = str(declared.resolve())
        parts = urlsplit(properties.get("inference_address", "http://127.0.0.1:8080"))
        scheme = self._scheme("inference_address", parts.scheme)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        properties["inference_address"] = f"{scheme}://{self.listen or parts.hostname}:{port}"
        if self.listen:
            properties["grpc_inference_address"] = self.listen
        if self.certificate_file is not None:
            check_key(self.certificate_file, self._file(PRIVATE_KEY))
            # Java runs in another working directory.
            properties |= {key: str(self._file(key)) for key in (CERTIFICATE, PRIVATE_KEY)}
            properties["enable_grpc_ssl"] = "true"
        number_of_gpu = read_visible_gpus(os.environ).number_of_gpu
        if number_of_gpu is not None:
            properties.setdefault("number_of_gpu", str(number_of_gpu))
        properties["default_workers_per_model"] = str(self.worker_count)
        properties["model_store"] = str(self.model_store.resolve())
        properties["load_models"] = load_models
        return "".join(f"{key}={value}\n" for key, value in properties.items())

    def _check_socket_path(self) -> None:
        excess = socket_path_excess_bytes(self.state)
        if excess > 0:
            raise SettingsError(
                f"the state folder {str(self.state.resolve())!r} is {excess} bytes too long: the sockets of its "
                f"workers, tmp/{LONGEST_SOCKET_NAME}, must fit into {SOCKET_PATH_LIMIT_BYTES} bytes; give a "
                "shorter --state."
            )


def socket_path_excess_bytes(state: Path) -> int:
    """Return by how many bytes the paths of the workers' sockets in this state folder are too long; 0 or less: none."""
    return len(os.fsencode(state.resolve() / "tmp" / LONGEST_SOCKET_NAME)) - SOCKET_PATH_LIMIT_BYTES


def load_settings(
    *, config: Path, model_store: Path, state: Path, listen: str | None = None
) -> ServerSettings:
    """Return the settings read from `config`; `listen` overrides the host of the inference addresses.

    Raises:
        SettingsError: the file cannot be read, a line is not `key=value`, or half of the TLS settings are missing.
    """
    try:
        text = config.read_text()
    except OSError as error:
        raise SettingsError(
            f"the configuration {str(config)!r} cannot be read ({error.strerror}); give --config, or run the "
            "command in the project's folder."
        ) from None
    settings = ServerSettings(
        config=config.resolve(),
        model_store=model_store,
        state=state,
        properties=parse_properties(text, source=str(config)),
        listen=listen,
    )
    _check_tls(settings)
    return settings


def _check_tls(settings: ServerSettings) -> None:
    given = [key for key in (CERTIFICATE, PRIVATE_KEY) if key in settings.properties]
    if len(given) == 1:
        raise SettingsError(
            f"{settings.config} has {given[0]} alone; TLS needs both {CERTIFICATE} and {PRIVATE_KEY}."
        )
    for key in given:
        if not (settings.config.parent / settings.properties[key]).is_file():
            raise SettingsError(
                f"{settings.config} names the {key} {settings.properties[key]!r}, which does not exist."
            )


def _reachable(host: str | None) -> str:
    """Return the host under which a client on this machine reaches a server that listens on `host`."""
    return LOOPBACK if host in (None, "", "0.0.0.0", "::") else str(host)


def parse_properties(text: str, *, source: str) -> dict[str, str]:
    """Return the keys and values of a Java properties file of plain `key=value` lines; `source` names it in errors.

    Raises:
        SettingsError: a line is neither `key=value`, nor a comment, nor empty.
    """
    properties: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", "!")):
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise SettingsError(f"{source}, line {number}: {line!r} is not `key=value`.")
        properties[key.strip()] = value.strip()
    return properties
