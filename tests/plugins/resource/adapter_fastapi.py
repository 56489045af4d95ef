"""The API of ``adapter_apps`` with FastAPI, which evaluates the annotations of its functions."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Security, WebSocket
from fastapi.responses import StreamingResponse

from grantway_plugins.resource import ProtectedResource, VerifiedToken
from grantway_plugins.resource.fastapi import ResourceToken, metadata_router
from tests.plugins.resource.adapter_apps import Gate, digest, shown


def make_app(resource: ProtectedResource, gate: Gate) -> FastAPI:
    """Return the application."""
    token = ResourceToken(resource)
    recent = ResourceToken(resource, max_age=300)
    app = FastAPI()
    app.include_router(metadata_router(resource))

    @app.get("/api/orders")
    @app.head("/api/orders")
    def orders(caller: Annotated[VerifiedToken, Depends(token)]) -> dict[str, Any]:
        return shown(caller)

    @app.post("/api/orders")
    async def add(
        request: Request, _caller: Annotated[VerifiedToken, Security(token, scopes=["write"])]
    ) -> dict[str, str]:
        return digest(await request.body())

    @app.get("/api/payments")
    async def payments(caller: Annotated[VerifiedToken, Depends(recent)]) -> dict[str, Any]:
        return shown(caller)

    @app.get("/api/stream", dependencies=[Depends(token)])
    async def stream() -> StreamingResponse:
        return StreamingResponse(gate.parts_async())

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.websocket("/api/socket")
    async def socket(
        websocket: WebSocket, caller: Annotated[VerifiedToken, Depends(token)]
    ) -> None:
        await websocket.accept()
        await websocket.send_json(shown(caller))
        await websocket.close()

    return app
