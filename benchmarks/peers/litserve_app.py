"""LitServe with ONNX Runtime, one worker per core.

python litserve_app.py PORT WORKERS
"""

import sys

import litserve
from fastapi import Request
from pipeline import classify, open_session


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.session = open_session()

    def decode_request(self, request: Request) -> bytes:
        return request["photo"].file.read()

    def predict(self, body: bytes) -> dict:
        return classify(self.session, body)

    def encode_response(self, output: dict) -> dict:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Classifier(), accelerator="cpu", workers_per_device=int(sys.argv[2]), track_requests=False
    )
    server.run(
        port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="error"
    )
