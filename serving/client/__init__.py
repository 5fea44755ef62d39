"""One client for both transports: typed answers, one tree of errors, timeouts always.

with HttpClient(settings) as client:                                # the server on this machine
    prediction = client.predict("clothing", photo, top_k=3)
with GrpcClient.to("https://host:7070", token="...") as client:     # one anywhere
    outcomes = client.predict("clothing", [photo, another])
"""

from serving.client.client import CONNECTIONS, TIMEOUT_S, Client
from serving.client.grpc_client import GrpcClient
from serving.client.http_client import HttpClient
from serving.client.in_order import in_order
from serving.client.results import ClassScore, Explanation, Outcome, Prediction, top_labels

__all__ = [
    "CONNECTIONS",
    "TIMEOUT_S",
    "Client",
    "Explanation",
    "GrpcClient",
    "ClassScore",
    "HttpClient",
    "Outcome",
    "Prediction",
    "in_order",
    "top_labels",
]
