"""Ray Serve with ONNX Runtime, one replica per core.

python ray_app.py PORT WORKERS
"""

import signal
import sys

import ray
from pipeline import classify, open_session
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse


@serve.deployment(num_replicas=int(sys.argv[2]), ray_actor_options={"num_cpus": 0})
class Classifier:
    def __init__(self) -> None:
        self.session = open_session()

    async def __call__(self, request: Request) -> JSONResponse:
        # A dict would be sent in chunks, without a Content-Length.
        return JSONResponse(classify(self.session, await request.body()))


if __name__ == "__main__":
    # A Ray that runs already on this machine would be used otherwise.
    ray.init(address="local", include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Classifier.bind(), route_prefix="/predict")
    signal.pause()
