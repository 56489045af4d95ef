"""The Flask extension: whole applications, OPTIONS, and error handlers of the application."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from grantway import ConfigurationError
from grantway_plugins.resource import AcceptedIssuer, AccessDeniedError, ProtectedResource
from grantway_plugins.testing import WorkloadIssuer
from tests.plugins.gateway.servers import werkzeug_server
from tests.plugins.resource.conftest import API, Tokens
from tests.waiting import PATIENCE

# ruff: noqa: PLC0415 - every process collects the tests


@pytest.fixture
def extension(issuer: WorkloadIssuer) -> Any:
    from grantway_plugins.resource.flask import FlaskResource

    return FlaskResource(ProtectedResource(API, [AcceptedIssuer(issuer.url)]))


@pytest.fixture
def app(extension: Any) -> Any:
    from flask import Flask, g

    app = Flask("api")
    extension.init_app(app)
    app.get("/orders", endpoint="orders")(lambda: {"sub": g.token.subject})
    app.get("/health", endpoint="health")(lambda: "ok")
    app.route("/any", endpoint="any", methods=["GET", "OPTIONS"])(lambda: "secret")
    return app


def status(url: str, path: str, method: str = "GET", token: str = "", **headers: str) -> int:
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return requests.request(method, f"{url}{path}", headers=headers, timeout=PATIENCE).status_code


def test_a_whole_application_is_protected(app: Any, extension: Any, token: Tokens) -> None:
    extension.protect(app, "read", public=["health"])
    with werkzeug_server(app) as url:
        assert status(url, "/orders") == 401
        assert status(url, "/no-such-page") == 401
        assert status(url, "/health") == 200
        assert status(url, "/.well-known/oauth-protected-resource") == 200
        assert status(url, "/orders", token=token()) == 200
        assert status(url, "/orders", token=token(scope="other")) == 403
        assert status(url, "/no-such-page", token=token()) == 404


def test_only_responses_of_flask_to_options_need_no_token(
    app: Any, extension: Any, token: Tokens
) -> None:
    extension.protect(app)
    with werkzeug_server(app) as url:
        assert status(url, "/orders", "OPTIONS") == 200
        assert status(url, "/any", "OPTIONS") == 401
        assert status(url, "/any", "OPTIONS", token()) == 200
        assert status(url, "/no-such-page", "OPTIONS") == 401


def test_an_application_may_have_its_own_error_handler(
    app: Any, extension: Any, token: Tokens
) -> None:
    extension.protect(app)

    @app.errorhandler(AccessDeniedError)
    def denied(error: AccessDeniedError) -> Any:
        return f"own: {error.error}", error.status, {"WWW-Authenticate": error.challenge}

    with werkzeug_server(app) as url:
        response = requests.get(f"{url}/orders", timeout=PATIENCE)
    assert (response.status_code, response.text) == (401, "own: ")


def test_two_resources_of_one_application(issuer: WorkloadIssuer, token: Tokens) -> None:
    from flask import Flask

    from grantway_plugins.resource.flask import FlaskResource

    app = Flask("api")
    for name in ("a", "b"):
        resource = ProtectedResource(f"{API}/{name}", [AcceptedIssuer(issuer.url)])
        view = FlaskResource(resource, app).require()(lambda: "ok")
        app.add_url_rule(f"/{name}", name, view)
    with werkzeug_server(app) as url:
        for name in ("a", "b"):
            assert status(url, f"/.well-known/oauth-protected-resource/{name}") == 200
            assert status(url, f"/{name}", token=token(f"{API}/{name}")) == 200
        assert status(url, "/a", token=token(f"{API}/b")) == 401


def test_an_invalid_requirement_is_reported_at_once(extension: Any) -> None:
    with pytest.raises(ConfigurationError, match="scopes: must be a tuple of names"):
        extension.require("two scopes")
    with pytest.raises(ConfigurationError, match="max_age"):
        extension.require(max_age=-1)
