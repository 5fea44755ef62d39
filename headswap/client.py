"""The client of a headswap server. It needs requests, grpcio and protobuf, and nothing else that is installed.

from headswap.client import GrpcClient, HttpClient

with HttpClient.to("http://host:8080", token="...") as client:
    prediction = client.predict("clothing", photo_bytes, top_k=3)
    print(prediction.top.label, prediction.top.probability)
"""

from serving.client import (
    CONNECTIONS,
    TIMEOUT_S,
    ClassScore,
    Client,
    Endpoint,
    Explanation,
    GrpcClient,
    HttpClient,
    Outcome,
    Prediction,
    map_in_order,
)
from serving.client.token_sources import GivenToken, TokenFile
from serving.errors import (
    AddressError,
    BadImageError,
    ConflictError,
    DeadlineError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    RequestError,
    ServingError,
    SettingsError,
    TooLargeError,
    UnauthorisedError,
    UnreachableError,
)

__all__ = [
    "CONNECTIONS",
    "TIMEOUT_S",
    "AddressError",
    "BadImageError",
    "ClassScore",
    "Client",
    "ConflictError",
    "DeadlineError",
    "Endpoint",
    "Explanation",
    "GivenToken",
    "GrpcClient",
    "HttpClient",
    "InternalServerError",
    "NotFoundError",
    "Outcome",
    "OverloadedError",
    "Prediction",
    "RequestError",
    "ServingError",
    "SettingsError",
    "TokenFile",
    "TooLargeError",
    "UnauthorisedError",
    "UnreachableError",
    "map_in_order",
]
