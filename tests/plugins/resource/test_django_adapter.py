"""The Django adapter: settings, forged requests, class-based views, and middleware with WSGI."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding

from grantway_plugins.resource import AcceptedIssuer, CertificateHeader, ProtectedResource
from grantway_plugins.testing import WorkloadIssuer
from tests.certificates import issue
from tests.django_project import configure_django, django_project
from tests.plugins.gateway.servers import asgi_server, werkzeug_server
from tests.plugins.resource.conftest import API, Tokens
from tests.waiting import PATIENCE

# ruff: noqa: PLC0415 - every process collects the tests

MIDDLEWARE = "grantway_plugins.resource.django.ResourceMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the header with a client certificate."""
    made = issue(tmp_path_factory.mktemp("certificates"), "job").x509
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


def protected(issuer: WorkloadIssuer) -> ProtectedResource:
    certificates = CertificateHeader(
        "X-Client-Cert", (ip_network("127.0.0.0/8"),), authenticates=True
    )
    return ProtectedResource(API, [AcceptedIssuer(issuer.url)], certificates=certificates)


@contextmanager
def project(
    issuer: WorkloadIssuer, middleware: list[str], kind: str = "wsgi", **settings: Any
) -> Iterator[str]:
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path
    from django.utils.decorators import method_decorator
    from django.views import View

    configure_django()
    from grantway_plugins.resource.django import token_not_required, token_required

    @method_decorator(token_required("read"), name="dispatch")
    class Orders(View):
        def post(self, request: Any) -> HttpResponse:
            return HttpResponse(request.token.subject)

    @method_decorator(token_required("read"), name="dispatch")
    class AsyncOrders(View):
        async def post(self, request: Any) -> HttpResponse:
            return HttpResponse(request.token.subject)

    @method_decorator(token_not_required, name="dispatch")
    class Health(View):
        def get(self, request: Any) -> HttpResponse:
            return HttpResponse("ok")

    def caller(request: Any) -> HttpResponse:
        return HttpResponse(request.token.subject)

    async def caller_async(request: Any) -> HttpResponse:
        return HttpResponse(request.token.subject)

    def number(_request: Any) -> HttpResponse:
        return HttpResponse("7")

    async def number_async(_request: Any) -> HttpResponse:
        return HttpResponse("7")

    def broken(_request: Any) -> HttpResponse:
        raise RuntimeError

    routes = [
        path("broken", broken),
        path("orders", Orders.as_view()),
        path("orders/async", AsyncOrders.as_view()),
        path("jobs", token_required()(caller)),
        path("jobs/async", token_required()(caller_async)),
        path("plain", caller),
        path("number", number),
        path("number/exempt", token_not_required(number)),
        path("number/async", token_not_required(number_async)),
        path("health", Health.as_view()),
    ]
    settings = {"GRANTWAY_RESOURCE": protected(issuer), **settings}
    with django_project(routes, MIDDLEWARE=middleware, **settings):
        if kind == "asgi":
            with asgi_server(ASGIHandler()) as url:
                yield url
        else:
            handler = WSGIHandler()
            with werkzeug_server(handler) as url:
                yield url


def post(url: str, token: str = "", **headers: str) -> requests.Response:
    if token:
        headers["Authorization"] = f"Bearer {token}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(url, headers=named, timeout=PATIENCE)


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("middleware", [[CSRF], [MIDDLEWARE, CSRF]], ids=["decorator", "both"])
def test_a_request_with_a_token_is_not_forged(
    issuer: WorkloadIssuer, token: Tokens, middleware: list[str], kind: str
) -> None:
    with project(issuer, middleware, kind) as url:
        assert post(f"{url}/orders", token()).text == "ann"
        assert post(f"{url}/orders", token(scope="other")).status_code == 403
        assert post(f"{url}/orders").status_code == 401
        if MIDDLEWARE in middleware:
            assert post(f"{url}/plain", token()).text == "ann"
            assert post(f"{url}/plain").status_code == 401


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("middleware", [[CSRF], [MIDDLEWARE, CSRF]], ids=["decorator", "both"])
def test_a_request_with_a_certificate_may_be_forged(
    issuer: WorkloadIssuer, certificate: str, middleware: list[str], kind: str
) -> None:
    """Browsers send certificates by themselves, also with a form of another site."""
    with project(issuer, middleware, kind) as url:
        forged = post(f"{url}/jobs", X_Client_Cert=certificate)
        assert forged.status_code == 403
        assert "CSRF" in forged.text
        assert "CSRF" in post(f"{url}/jobs/async", X_Client_Cert=certificate).text
        headers = {"X-Client-Cert": certificate}
        read = requests.get(f"{url}/jobs", headers=headers, timeout=PATIENCE)
        assert read.text == "CN=job"


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_views_may_be_exempt_from_the_middleware(issuer: WorkloadIssuer, kind: str) -> None:
    with project(issuer, [MIDDLEWARE], kind) as url:
        assert requests.get(f"{url}/health", timeout=PATIENCE).text == "ok"
        assert requests.get(f"{url}/plain", timeout=PATIENCE).status_code == 401
        assert requests.get(f"{url}/no-such-page", timeout=PATIENCE).status_code == 404
        # The same function at another path still needs a token.
        assert requests.get(f"{url}/number/exempt", timeout=PATIENCE).text == "7"
        assert requests.get(f"{url}/number/async", timeout=PATIENCE).text == "7"
        assert requests.get(f"{url}/number", timeout=PATIENCE).status_code == 401


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("middleware", [[], [MIDDLEWARE]], ids=["decorator", "both"])
def test_the_methods_of_a_class_may_be_coroutine_functions(
    issuer: WorkloadIssuer, token: Tokens, kind: str, middleware: list[str]
) -> None:
    with project(issuer, middleware, kind) as url:
        assert post(f"{url}/orders/async", token()).text == "ann"
        assert post(f"{url}/orders/async", token(scope="other")).status_code == 403
        assert post(f"{url}/orders/async").status_code == 401
        assert requests.get(f"{url}/orders/async", timeout=PATIENCE).status_code == 401


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_the_debug_page_shows_no_token(
    issuer: WorkloadIssuer, token: Tokens, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = token()
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/html"}
    with project(issuer, [MIDDLEWARE], kind, DEBUG=True) as url:
        page = requests.get(f"{url}/broken", headers=headers, timeout=PATIENCE)
    assert page.status_code == 500
    assert "grantway_plugins.resource.django.ResourceMiddleware" in page.text
    assert secret not in page.text + caplog.text


#: Named by a setting.
named_resource: ProtectedResource


def test_a_setting_may_name_the_resource(issuer: WorkloadIssuer, token: Tokens) -> None:
    globals()["named_resource"] = protected(issuer)
    path = f"{__name__}.named_resource"
    with project(issuer, [], GRANTWAY_RESOURCE=path) as url:
        assert post(f"{url}/orders", token()).text == "ann"


@pytest.mark.parametrize("value", [None, 3, "django.conf.settings"])
def test_a_wrong_setting_is_reported_at_the_start(issuer: WorkloadIssuer, value: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured

    with (
        pytest.raises(ImproperlyConfigured, match="GRANTWAY_RESOURCE must be a Protected"),
        project(issuer, [MIDDLEWARE], GRANTWAY_RESOURCE=value),
    ):
        pass
