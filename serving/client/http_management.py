"""TorchServe's management API over HTTP."""

from typing import Any
from urllib.parse import quote

import requests

from serving.client.endpoint import Endpoint, http_endpoint
from serving.client.management import (
    PAGE_SIZE,
    READ_TIMEOUT_S,
    REGISTER_TIMEOUT_S,
    LoadedVersion,
    model_and_version,
    read_loaded_version,
    wait_for_workers,
)
from serving.client.sessions import session_to
from serving.client.transport import CONNECT_TIMEOUT_S
from serving.errors import NotFoundError, UnreachableError, request_error
from serving.settings import ServerSettings

MESSAGE_LIMIT = 300


class HttpManagement:
    """Implements `serving.client.management.ManagementApi`."""

    def __init__(self, server: ServerSettings | Endpoint) -> None:
        """Connect to the server of these settings, or to a management endpoint anywhere."""
        self._endpoint = (
            server if isinstance(server, Endpoint) else http_endpoint(server, "management")
        )
        self._session = session_to(self._endpoint.address, tls=self._endpoint.tls)

    def models(self) -> list[str]:
        names: list[str] = []
        page: dict[str, str] | None = {"limit": str(PAGE_SIZE)}
        while page is not None:
            listing = self._call("GET", "models", page)
            names += [str(model["modelName"]) for model in listing["models"]]
            next_token = listing.get("nextPageToken")
            page = {**page, "next_page_token": str(next_token)} if next_token else None
        return names

    def versions(self, model: str) -> dict[str, LoadedVersion]:
        try:
            descriptions = self._call("GET", _path(model, "all"))
        except NotFoundError:
            return {}
        return {each["modelVersion"]: read_loaded_version(each) for each in descriptions}

    def default_version(self, model: str) -> str:
        return str(self._call("GET", _path(model))[0]["modelVersion"])

    def register(self, archive_name: str, *, workers: int) -> None:
        self._call(
            "POST",
            "models",
            {"url": archive_name, "initial_workers": str(workers), "synchronous": "true"},
            timeout_s=REGISTER_TIMEOUT_S,
        )
        wait_for_workers(self, *model_and_version(archive_name))

    def scale(self, model: str, version: str, *, workers: int) -> None:
        self._call(
            "PUT",
            _path(model, version),
            {"min_worker": str(workers), "max_worker": str(workers), "synchronous": "true"},
            timeout_s=REGISTER_TIMEOUT_S,
        )
        wait_for_workers(self, model, version)

    def set_default(self, model: str, version: str) -> None:
        self._call("PUT", _path(model, version, "set-default"))

    def unregister(self, model: str, version: str) -> None:
        self._call("DELETE", _path(model, version))

    def close(self) -> None:
        self._session.close()

    def _call(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        *,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> Any:
        return self._endpoint.call_with_token(
            lambda token: self._send(method, path, params, timeout_s, token)
        )

    def _send(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None,
        timeout_s: float,
        token: str | None,
    ) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        url = f"{self._endpoint.address}/{path}"
        try:
            response = self._session.request(
                method, url, params=params, headers=headers, timeout=(CONNECT_TIMEOUT_S, timeout_s)
            )
        except requests.RequestException as error:
            raise UnreachableError(
                f"the server's management address {self._endpoint.address} does not answer "
                f"({type(error).__name__}); is `headswap serve` running?"
            ) from None
        try:
            content = response.json()
        except ValueError:
            content = {"message": response.text.strip()[:MESSAGE_LIMIT]}
        if response.status_code >= 400:
            code, message = str(content.get("type", "")), str(content.get("message", content))
            raise request_error(response.status_code, code, message)
        return content


def _path(*segments: str) -> str:
    return "/".join(["models", *(quote(segment, safe="") for segment in segments)])
