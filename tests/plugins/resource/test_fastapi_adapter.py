"""The FastAPI dependency: the OpenAPI schema, and errors."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from grantway import ConfigurationError
from grantway_plugins.resource import AcceptedIssuer, ProtectedResource
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.gateway.servers import asgi_server
from tests.plugins.resource.adapter_apps import Gate
from tests.plugins.resource.conftest import API, Tokens
from tests.waiting import PATIENCE

# ruff: noqa: PLC0415 - every process collects the tests


@pytest.fixture
def resource(issuer: WorkloadIssuer) -> ProtectedResource:
    return ProtectedResource(API, [AcceptedIssuer(issuer.url)])


@pytest.fixture
def app(resource: ProtectedResource) -> Any:
    from tests.plugins.resource.adapter_fastapi import make_app

    return make_app(resource, Gate())


def test_the_schema_describes_tokens_and_scopes(app: Any) -> None:
    schema = app.openapi()
    assert schema["components"]["securitySchemes"] == {
        "AccessToken": {"type": "http", "scheme": "bearer"}
    }
    orders = schema["paths"]["/api/orders"]
    assert orders["get"]["security"] == [{"AccessToken": []}]
    assert orders["post"]["security"] == [{"AccessToken": ["write"]}]
    assert "security" not in schema["paths"]["/health"]["get"]
    assert not any(path.startswith("/.well-known") for path in schema["paths"])


def test_an_application_may_have_its_own_handler(app: Any, token: Tokens) -> None:
    from fastapi import HTTPException, Request
    from fastapi.responses import PlainTextResponse

    @app.exception_handler(HTTPException)
    async def show(_request: Request, error: HTTPException) -> PlainTextResponse:
        return PlainTextResponse(f"own: {error.detail}", error.status_code, error.headers)

    with asgi_server(app) as url:
        response = requests.get(f"{url}/api/orders", timeout=PATIENCE)
    assert response.text == "own: An access token is needed"
    assert "resource_metadata" in response.headers["WWW-Authenticate"]


def test_an_invalid_requirement_is_reported_at_once(resource: ProtectedResource) -> None:
    from grantway_plugins.resource.fastapi import ResourceToken

    with pytest.raises(ConfigurationError, match="max_age"):
        ResourceToken(resource, max_age=-1)
