"""FastAPI with ONNX Runtime, one uvicorn process per core.

uvicorn fastapi_app:app --workers 2 --port 9100 --no-access-log
"""

from fastapi import FastAPI, Request
from pipeline import classify, open_session

app = FastAPI()
session = open_session()


@app.post("/predict")
async def predict(request: Request) -> dict:
    # Computed on the event loop: with one thread per process, a thread pool only adds context switches.
    return classify(session, await request.body())
