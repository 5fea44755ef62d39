"""BentoML with ONNX Runtime, one worker per core.

bentoml serve bentoml_app:Classifier --port 9102
"""

import os
from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from pipeline import classify, open_session


@bentoml.service(workers=int(os.environ.get("BENCH_WORKERS", "2")), traffic={"timeout": 60})
class Classifier:
    def __init__(self) -> None:
        self.session = open_session()

    @bentoml.api(route="/predict")
    def predict(self, photo: Annotated[Path, ContentType("image/jpeg")]) -> dict:
        return classify(self.session, photo.read_bytes())
