"""One client for both transports: typed results, one tree of errors, timeouts on every call.

with HttpClient(settings) as client:                                # the server on this machine
    prediction = client.predict("clothing", photo, top_k=3)
with GrpcClient.to("https://host:7070", token="...") as client:     # a server anywhere
    outcomes = client.predict("clothing", [photo, another])

Users import from headswap.client.
"""

from serving.client.client import CONNECTIONS, TIMEOUT_S, Client
from serving.client.concurrency import map_in_order
from serving.client.endpoint import Endpoint
from serving.client.grpc_client import GrpcClient
from serving.client.http_client import HttpClient
from serving.client.results import ClassScore, Explanation, Outcome, Prediction

__all__ = [
    "CONNECTIONS",
    "TIMEOUT_S",
    "ClassScore",
    "Client",
    "Endpoint",
    "Explanation",
    "GrpcClient",
    "HttpClient",
    "Outcome",
    "Prediction",
    "map_in_order",
]
