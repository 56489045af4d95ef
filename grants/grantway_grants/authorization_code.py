"""The authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 8252)."""

from __future__ import annotations

import base64
import contextvars
import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from grantway._exceptions import (
    BrowserUnavailableError,
    ConfigurationError,
    Evidence,
    FlowError,
    InvalidClientException,
    RedirectMismatchError,
    ResponseInvalidError,
    TokenError,
    TransportError,
    UnauthorizedClientException,
)
from grantway._processes.copies import OneProcess
from grantway._requests.client import Client
from grantway._requests.computed_parameters import compute
from grantway._requests.error_codes import error_class
from grantway._secrets.error_members import members_of
from grantway._secrets.params import Params
from grantway._secrets.redaction import printable
from grantway._types.fields import GrantSchema, Scope, Text
from grantway._types.grant import Grant, Replay
from grantway._types.quantity import check_seconds
from grantway._types.token import Token
from grantway.hookspecs import hookimpl

from ._login_parameters import login_parameters

if TYPE_CHECKING:
    from ._loopback import LoopbackListener

GRANT_TYPE = "authorization_code"


class CodeVerifier(Text):
    """43 to 128 unreserved characters (RFC 7636 section 4.1)."""

    characters = re.compile(r"[A-Za-z0-9\-._~]+")


class AuthorizationCodeSchema(GrantSchema):
    """The ``code``, its ``redirect_uri`` and its ``code_verifier``."""

    code = Text(required=True, example='"SplxlOBeZQQYbYS6WxSbIA"')
    redirect_uri = Text(example='"http://127.0.0.1:8400/callback"')
    code_verifier = CodeVerifier(
        example='"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"', minimum=43, maximum=128
    )
    scope = Scope()


AUTHORIZATION_CODE = Grant(
    grant_type=GRANT_TYPE,
    schema=AuthorizationCodeSchema(),
    replay=Replay.NEVER,
    secret=frozenset({"code", "code_verifier"}),
    single_use=frozenset({"code"}),
    summary="A token for the code of a login in a browser, with PKCE (RFC 6749, 7636, 8252)",
)


@hookimpl
def grantway_register_grants() -> list[Grant]:
    """Register the authorization code grant."""
    return [AUTHORIZATION_CODE]


def code_challenge(code_verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An authorization request. Keep it until the redirect arrives.

    Attributes:
        url: The URL to open in the user's browser.
        redirect_uri: The redirect URI.
        state: Identifies the login in the redirect; a secret.
        code_verifier: The PKCE verifier (RFC 7636); a secret.
    """

    url: str = field(repr=False)
    redirect_uri: str
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)


class AuthorizationCodeFlow(OneProcess):
    """A login in a browser: begin it, open its URL, and finish it with the redirect.

    ::

        flow = AuthorizationCodeFlow(client, scope=["read"])
        request = flow.begin("http://127.0.0.1:8400/callback")
        print(request.url)
        token = flow.finish(request, input("Paste the URL that the browser shows: "))

    Args:
        client: The client; its provider must have an ``authorization_endpoint``.
        scope: Scope names to request.
        extra: Provider-specific parameters, sent with the authorization request and the token
            request. Parameters of authorization requests alone, such as ``prompt``, are not sent
            to the token endpoint.
        resource: The APIs that the token is for (RFC 8707), sent with both requests.
        par: Whether to push the request to the provider first, so that the browser carries only a
            reference to it (RFC 9126). None follows the provider's metadata.
    """

    stays = (
        "it holds a client; create one in the process that uses it, or send the "
        "AuthorizationRequest"
    )

    def __init__(
        self,
        client: Client,
        *,
        scope: list[str] | tuple[str, ...] | str | None = None,
        extra: Mapping[str, Any] | None = None,
        resource: str | Sequence[str] | None = None,
        par: bool | None = None,
    ) -> None:
        self._client = client
        if par is None:
            required = client.provider.metadata.get("require_pushed_authorization_requests")
            par = required is True
        self._par = par
        self._scope = Scope().names(scope)
        self._parameters = login_parameters(client, GRANT_TYPE, extra=extra, resource=resource)

    def begin(
        self, redirect_uri: str, *, cancel: threading.Event | None = None
    ) -> AuthorizationRequest:
        """Return an authorization request with a new state and verifier.

        Args:
            redirect_uri: The registered redirect URI.
            cancel: Setting this event ends the wait between two attempts to push the request.

        Raises:
            ConfigurationError: the provider lacks the authorization endpoint, or the endpoint for
                pushed requests.
            TokenError: the provider rejected the pushed request.
            TransportError: the request could not be pushed.
        """
        state = secrets.token_urlsafe(32)
        code_verifier = secrets.token_urlsafe(32)
        fields = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._scope,
            "state": state,
            "code_challenge": code_challenge(code_verifier),
            "code_challenge_method": "S256",
        }
        given = self._parameters.first
        if taken := sorted(fields.keys() & given.keys()):
            raise ConfigurationError(
                f"extra: must not contain {', '.join(taken)}; the login sets it."
            )
        endpoint = self._client.provider.endpoint("authorization")
        query: Mapping[str, Any] = Params({**fields, **given})
        query = self._push(query, cancel) if self._par else compute(query)
        url = self._client.dialect.encoder.authorization_url(endpoint, query)
        return AuthorizationRequest(url, redirect_uri, state, code_verifier)

    def _push(self, fields: Mapping[str, Any], cancel: threading.Event | None) -> Mapping[str, Any]:
        """Push the request to the provider, and return the parameters that replace it."""
        response = self._client.call("pushed_authorization_request", cancel=cancel, extra=fields)
        reference = response.get("request_uri")
        if not isinstance(reference, str) or not reference:
            raise ResponseInvalidError(
                f"{self._client.provider.host} accepted the pushed request without returning a "
                "request_uri (RFC 9126 section 2.2). Check the endpoint, or set par=False.",
                evidence=Evidence(
                    provider=self._client.provider.host,
                    grant_type=GRANT_TYPE,
                    step="pushed_authorization_request",
                ),
            )
        return {"client_id": self._client.client_id, "request_uri": reference}

    def finish(
        self,
        request: AuthorizationRequest,
        redirect: str,
        *,
        cancel: threading.Event | None = None,
    ) -> Token:
        """Request a token with the code in the redirect.

        Args:
            request: The result of ``begin``.
            redirect: The URL to which the browser was redirected, or its query.
            cancel: Setting this event ends the wait between two attempts.

        Raises:
            RedirectMismatchError: the redirect belongs to another login or provider.
            TokenError: the user or the provider denied the request.
        """
        code = self.code(request, redirect)
        return self._client.create_token(
            grant_type=GRANT_TYPE,
            code=code,
            redirect_uri=request.redirect_uri,
            code_verifier=request.code_verifier,
            extra=self._parameters.token or None,
            cancel=cancel,
        )

    def code(self, request: AuthorizationRequest, redirect: str) -> str:
        """Return the code in a redirect after checking ``state`` and ``iss``.

        Raises:
            RedirectMismatchError: the redirect belongs to another login or provider.
            TokenError: the redirect contains an error.
        """
        evidence = Evidence(
            provider=self._client.provider.host, grant_type=GRANT_TYPE, step="authorization"
        )
        response = _query(redirect, evidence)
        state = response.get("state", "")
        # Some providers omit the state in an error. That is safe: there is no code to misuse.
        stateless = "error" in response and "state" not in response
        if not stateless and not hmac.compare_digest(state.encode(), request.state.encode()):
            raise RedirectMismatchError(
                "The redirect does not belong to this login: its state "
                f"{'differs' if state else 'is missing'}. Start the login again and use the newest "
                "URL.",
                evidence=evidence,
            )
        self._check_issuer(response.get("iss"), evidence)
        if error := response.get("error"):
            described = response.get("error_description")
            raise error_class(error, self._client.registry.errors)(
                f"The provider rejected the login with {printable(error)}"
                + (f": {printable(described)}" if described else ""),
                error=error,
                error_description=described,
                error_uri=response.get("error_uri"),
                evidence=replace(evidence, members=members_of(response, (state,))),
            )
        if not response.get("code"):
            raise FlowError(
                "The redirect contains neither a code nor an error. Start the login again.",
                evidence=evidence,
            )
        return response["code"]

    def _check_issuer(self, iss: str | None, evidence: Evidence) -> None:
        """Reject a redirect from another provider (RFC 9207 section 2.4)."""
        provider = self._client.provider
        promised = provider.metadata.get("authorization_response_iss_parameter_supported") is True
        if iss is None and not promised:
            return
        if provider.issuer is not None and iss != provider.issuer:
            raise RedirectMismatchError(
                f"The redirect names {'another issuer' if iss else 'no issuer'}, but the login was "
                f"sent to {provider.issuer}. The code was not used; start the login again.",
                evidence=evidence,
            )


def _query(redirect: str, evidence: Evidence) -> dict[str, str]:
    # Pasted text may contain surrogates, which the checks below cannot encode.
    text = redirect.strip().encode("utf-8", "replace").decode()
    try:
        query = urlsplit(text).query or (text.lstrip("?") if "://" not in text else "")
    except ValueError:
        query = ""
    response: dict[str, str] = {}
    for name, values in parse_qs(query, keep_blank_values=True).items():
        if len(values) > 1:
            raise RedirectMismatchError(
                f"The redirect contains {printable(name)} more than once (RFC 6749 section 3.1).",
                evidence=evidence,
            )
        response[name] = values[0]
    if not response:
        raise RedirectMismatchError(
            "This is not the URL of a redirect. Copy the whole URL that the browser shows after "
            "the login, including everything after the question mark.",
            evidence=evidence,
        )
    return response


def login(
    client: Client,
    *,
    scope: list[str] | tuple[str, ...] | str | None = None,
    extra: Mapping[str, Any] | None = None,
    resource: str | Sequence[str] | None = None,
    par: bool | None = None,
    redirect_uri: str = "http://127.0.0.1/callback",
    listen: str | None = None,
    ports: Sequence[int] | None = None,
    prompt: Callable[[str], object] | None = None,
    open_browser: Callable[[str], object] | None = None,
    timeout: float = 300.0,
    cancel: threading.Event | None = None,
) -> Token:
    """Log in with a browser on this machine (RFC 8252 section 7.3).

    During the login, listen for the redirect on the address in ``redirect_uri``, or on ``listen``.

    Args:
        client: The client.
        scope: Scope names to request.
        extra: Provider-specific parameters; see ``AuthorizationCodeFlow``.
        resource: The APIs that the token is for (RFC 8707).
        par: Whether to push the request first; see ``AuthorizationCodeFlow``.
        redirect_uri: The registered redirect URI: http to ``127.0.0.1``, ``[::1]`` or
            ``localhost``; with ``listen`` also https. Without a port, a free one is used.
        listen: An IP address or ``localhost``, with or without a port, to listen on instead, for
            example if a container publishes the port or a proxy forwards the redirect.
        ports: Ports to try, in this order, if ``redirect_uri`` has none.
        prompt: Called once with the URL, to show it to the user before a browser is opened. With
            it, the login continues if no browser can be opened.
        open_browser: Opens a URL; by default in the browser that ``BROWSER`` names, or the
            system's. It runs in a thread and may block. It returns False if no browser was
            opened; an exception ends the login.
        timeout: Seconds until the login must be finished.
        cancel: Setting this event ends the wait.

    Raises:
        BrowserUnavailableError: no browser could be opened, and there is no ``prompt``.
        ConfigurationError: no port is available, or an argument is invalid.
        FlowTimeoutError: the login was not finished in time.
        FlowCancelledError: ``cancel`` was set.
        TokenError: the user or the provider denied the request.
    """
    check_seconds("timeout", timeout)
    from ._loopback import LoopbackListener  # noqa: PLC0415 - only logins need an HTTP server

    flow = AuthorizationCodeFlow(client, scope=scope, extra=extra, resource=resource, par=par)
    with LoopbackListener(redirect_uri, listen=listen, ports=ports) as listener:
        request = flow.begin(listener.redirect_uri, cancel=cancel)
        listener.expect(request.state)
        if prompt is not None:
            prompt(request.url)
        # In a thread, because a browser in the foreground, such as w3m, blocks until it is closed.
        opening = partial(_open, request.url, open_browser, listener, shown=prompt is not None)
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(opening,),
            name="grantway-browser",
            daemon=True,
        ).start()
        redirect = listener.wait(timeout=timeout, cancel=cancel)
    return flow.finish(request, redirect, cancel=cancel)


def _open(
    url: str,
    open_browser: Callable[[str], object] | None,
    listener: LoopbackListener,
    *,
    shown: bool,
) -> None:
    """Open a browser; if that fails, end the login."""
    try:
        opened = (open_browser or _system_browser)(url)
    except BaseException as error:  # noqa: BLE001 - raised by ``wait``, in the caller's thread
        listener.fail(error)
        return
    if opened is False and not shown:
        listener.fail(
            BrowserUnavailableError(
                "No browser could be opened on this machine. Show the URL with prompt=print, log "
                "in on another device with grantway_grants.device_code.login, or paste the "
                "redirect with login_by_paste."
            )
        )


def _system_browser(url: str) -> bool:
    from ._browser import open_browser  # noqa: PLC0415 - only logins need it

    return open_browser(url)


def check_registration(client: Client, *, cancel: threading.Event | None = None) -> None:
    """Check that the provider knows the client, before a browser is opened.

    For an unknown client, a provider shows an error page and does not redirect the browser (RFC
    6749 section 4.1.2.1), so the login would wait in vain. This sends a token request with an
    invalid code: the provider checks the client first. Other errors than those below are ignored.

    Args:
        client: The client to check.
        cancel: Setting this event ends the wait between two attempts.

    Raises:
        InvalidClientException: the client is unknown, or its secret is wrong.
        UnauthorizedClientException: the client may not use the authorization code grant.
    """
    try:
        client.create_token(
            grant_type=GRANT_TYPE,
            code=f"check-{secrets.token_urlsafe(16)}",
            redirect_uri="http://127.0.0.1/callback",
            code_verifier=secrets.token_urlsafe(32),
            cancel=cancel,
        )
    except (InvalidClientException, UnauthorizedClientException):
        raise
    except (TokenError, TransportError):
        return


def login_by_paste(
    client: Client,
    ask: Callable[[str], str],
    *,
    redirect_uri: str,
    scope: list[str] | tuple[str, ...] | str | None = None,
    extra: Mapping[str, Any] | None = None,
    resource: str | Sequence[str] | None = None,
    par: bool | None = None,
) -> Token:
    """Log in with a browser on another machine; the user pastes the redirect.

    Args:
        client: The client.
        ask: Called with the URL to show; returns the URL to which the browser was redirected.
        redirect_uri: The registered redirect URI; nothing needs to listen there.
        scope: Scope names to request.
        extra: Provider-specific parameters; see ``AuthorizationCodeFlow``.
        resource: The APIs that the token is for (RFC 8707).
        par: Whether to push the request first; see ``AuthorizationCodeFlow``.
    """
    flow = AuthorizationCodeFlow(client, scope=scope, extra=extra, resource=resource, par=par)
    request = flow.begin(redirect_uri)
    return flow.finish(request, ask(request.url))
