"""TorchServe's management API over gRPC, whose answers are JSON inside a message."""

import json
from typing import Any

import grpc

from serving import stubs
from serving.client.endpoint import Endpoint
from serving.client.grpc_channel import grpc_error, metadata_of, open_channel
from serving.client.management import (
    PAGE_SIZE,
    READ_TIMEOUT_S,
    REGISTER_TIMEOUT_S,
    LoadedVersion,
    model_and_version,
    read_loaded_version,
    wait_for_workers,
)
from serving.errors import NotFoundError


class GrpcManagement:
    """Implements `serving.client.management.ManagementApi`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._messages, calls = stubs.load("management")
        self._channel = open_channel(endpoint)
        self._stub = calls.ManagementAPIsServiceStub(self._channel)

    def models(self) -> list[str]:
        names: list[str] = []
        page = 0
        while True:
            request = self._messages.ListModelsRequest(limit=PAGE_SIZE, next_page_token=page)
            listing = json.loads(self._call("ListModels", request))
            names += [str(model["modelName"]) for model in listing["models"]]
            page = int(listing.get("nextPageToken") or 0)
            if not page:
                return names

    def versions(self, model: str) -> dict[str, LoadedVersion]:
        try:
            descriptions = self._describe(model, "all")
        except NotFoundError:
            return {}
        return {each["modelVersion"]: read_loaded_version(each) for each in descriptions}

    def default_version(self, model: str) -> str:
        return str(self._describe(model, "")[0]["modelVersion"])

    def register(self, archive_name: str, *, workers: int) -> None:
        request = self._messages.RegisterModelRequest(
            url=archive_name, initial_workers=workers, synchronous=True
        )
        self._call("RegisterModel", request, timeout_s=REGISTER_TIMEOUT_S)
        wait_for_workers(self, *model_and_version(archive_name))

    def scale(self, model: str, version: str, *, workers: int) -> None:
        request = self._messages.ScaleWorkerRequest(
            model_name=model, model_version=version, min_worker=workers, max_worker=workers,
            synchronous=True,
        )  # fmt: skip
        self._call("ScaleWorker", request, timeout_s=REGISTER_TIMEOUT_S)
        wait_for_workers(self, model, version)

    def set_default(self, model: str, version: str) -> None:
        request = self._messages.SetDefaultRequest(model_name=model, model_version=version)
        self._call("SetDefault", request)

    def unregister(self, model: str, version: str) -> None:
        request = self._messages.UnregisterModelRequest(model_name=model, model_version=version)
        self._call("UnregisterModel", request)

    def close(self) -> None:
        self._channel.close()

    def _describe(self, model: str, version: str) -> list[dict[str, Any]]:
        request = self._messages.DescribeModelRequest(model_name=model, model_version=version)
        descriptions: list[dict[str, Any]] = json.loads(self._call("DescribeModel", request))
        return descriptions

    def _call(self, method: str, request: Any, *, timeout_s: float = READ_TIMEOUT_S) -> str:
        def send(token: str | None) -> str:
            call = getattr(self._stub, method)
            try:
                return str(call(request, timeout=timeout_s, metadata=metadata_of(token)).msg)
            except grpc.RpcError as error:
                raise grpc_error(error, timeout_s=timeout_s) from None

        return self._endpoint.call_with_token(send)
