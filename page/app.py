"""The application: its routes, behind the guard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from capture.errors import CaptureError
from page import openapi, review, sign_in, trying, versions, watch
from page.context import PageContext
from page.errors import (
    answer_capture_error,
    answer_mistake,
    answer_refusal,
    answer_serving_error,
)
from page.guard import Guard
from page.rendering import FOLDER
from serving.errors import ServingError

ROUTES = [
    Route("/", trying.show),
    Route("/api/models", trying.models),
    Route("/api/predict", trying.predict, methods=["POST"]),
    Route("/api/heat-map", trying.heat_map, methods=["POST"]),
    Route("/versions", versions.show),
    Route("/api/versions", versions.list_versions),
    Route("/api/promote", versions.start_promotion, methods=["POST"]),
    Route("/api/rollback", versions.start_rollback, methods=["POST"]),
    Route("/api/retire", versions.start_retirement, methods=["POST"]),
    Route("/api/timeline", versions.timeline),
    Route("/watch", watch.show),
    Route("/api/watch", watch.read),
    Route("/review", review.show),
    Route("/api/review", review.list_photos),
    Route("/api/review/photo/{sha256}", review.photo),
    Route("/api/review/label", review.label, methods=["POST"]),
    Route("/api/review/undo", review.undo, methods=["POST"]),
    Route("/openapi.json", openapi.show),
    Route("/sign-in", sign_in.show),
    Route("/sign-in", sign_in.sign_in, methods=["POST"]),
    Route("/api/csrf-token", sign_in.csrf_token),
    Route("/api/sign-out", sign_in.sign_out, methods=["POST"]),
    Mount("/static", StaticFiles(directory=FOLDER / "static")),
]


def create_app(context: PageContext) -> Starlette:
    """Return the application; while it runs, it looks at the metrics page every 5 s."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watching = context.open_session()
        context.history.start(watching)
        yield
        context.history.stop()
        watching.close()
        context.session.close()

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Guard, context=context)],
        exception_handlers={
            HTTPException: answer_refusal,
            ServingError: answer_serving_error,
            CaptureError: answer_capture_error,
            Exception: answer_mistake,
        },
        lifespan=lifespan,
    )
    app.state.context = context
    return app
