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
    """``code``, the ``redirect_uri`` it was sent to, and the ``code_verifier`` behind it."""

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
    """Bring the authorization code grant."""
    return [AUTHORIZATION_CODE]


def code_challenge(code_verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One login that has begun. Keep it until the redirect comes back.

    Attributes:
        url: Where to send the person's browser.
        redirect_uri: Where the browser will come back to.
        state: Ties the redirect to this login; a secret.
        code_verifier: Proves that the code is ours (RFC 7636); a secret.
    """

    url: str = field(repr=False)
    redirect_uri: str
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)


class AuthorizationCodeFlow(OneProcess):
    """A login in a browser: begin it, send the person there, finish with the redirect.

    ::

        flow = AuthorizationCodeFlow(client, scope=["read"])
        request = flow.begin("http://127.0.0.1:8400/callback")
        print(request.url)
        token = flow.finish(request, input("Paste the address you were sent to: "))

    Args:
        client: Who logs in; its provider needs an ``authorization_endpoint``.
        scope: Scope names to ask for.
        extra: Provider-specific parameters, sent with the authorization request and the token
            request. Those that only an authorization request knows, such as ``prompt``, are not
            sent to the token endpoint.
        resource: The APIs that the token is for (RFC 8707), sent with both requests.
        par: Whether to push the request to the provider first, so that the browser carries only a
            reference to it (RFC 9126). None does so where the provider's metadata requires it.
    """

    stays = (
        "it holds a client; make one in the process that uses it, or send the AuthorizationRequest"
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
        """Make the address of the login, with a fresh state and verifier.

        Args:
            redirect_uri: Where the browser comes back to, as it is registered.
            cancel: Ends waits between attempts to push the request at once when it is set.

        Raises:
            ConfigurationError: the provider has no authorization endpoint, or none to push to.
            TokenError: the provider refused the pushed request.
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
        given = self._parameters.beginning
        if taken := sorted(fields.keys() & given.keys()):
            raise ConfigurationError(f"extra: {', '.join(taken)} cannot be given here.")
        endpoint = self._client.provider.endpoint("authorization")
        query: Mapping[str, Any] = Params({**fields, **given})
        query = self._push(query, cancel) if self._par else compute(query)
        url = self._client.dialect.encoder.authorization_url(endpoint, query)
        return AuthorizationRequest(url, redirect_uri, state, code_verifier)

    def _push(self, fields: Mapping[str, Any], cancel: threading.Event | None) -> Mapping[str, Any]:
        """Leave the request with the provider; gives what the browser carries instead."""
        answer = self._client.call("pushed_authorization_request", cancel=cancel, extra=fields)
        reference = answer.get("request_uri")
        if not isinstance(reference, str) or not reference:
            raise ResponseInvalidError(
                f"{self._client.provider.host} took the pushed request and gave no request_uri "
                "(RFC 9126 section 2.2).",
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
        """Redeem the code in the redirect that came back.

        Args:
            request: What ``begin`` gave.
            redirect: The whole address that the browser was sent to, or its query.
            cancel: Ends waits between attempts at once when it is set.

        Raises:
            RedirectMismatchError: it is not the answer to this login, or not from this provider.
            AccessDeniedException: the person said no; other TokenErrors likewise.
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
        """The code in a redirect, once ``state`` and ``iss`` have been checked.

        Raises:
            RedirectMismatchError: it is not the answer to this login, or not from this provider.
            TokenError: the provider answered with an error.
        """
        evidence = Evidence(
            provider=self._client.provider.host, grant_type=GRANT_TYPE, step="authorization"
        )
        answer = _query(redirect, evidence)
        state = answer.get("state", "")
        # Some providers leave the state out of a refusal, which brings no code to be misused.
        stateless = "error" in answer and "state" not in answer
        if not stateless and not hmac.compare_digest(state.encode(), request.state.encode()):
            raise RedirectMismatchError(
                "The redirect is not the answer to this login: its state is "
                f"{'another' if state else 'missing'}. Start the login again and use the newest "
                "address.",
                evidence=evidence,
            )
        self._check_issuer(answer.get("iss"), evidence)
        if error := answer.get("error"):
            described = answer.get("error_description")
            raise error_class(error, self._client.registry.errors)(
                f"The login was refused with {printable(error)}"
                + (f": {printable(described)}" if described else ""),
                error=error,
                error_description=described,
                error_uri=answer.get("error_uri"),
                evidence=replace(evidence, members=members_of(answer, (state,))),
            )
        if not answer.get("code"):
            raise FlowError("The redirect holds neither a code nor an error.", evidence=evidence)
        return answer["code"]

    def _check_issuer(self, iss: str | None, evidence: Evidence) -> None:
        """Refuse an answer from another provider (RFC 9207 section 2.4)."""
        provider = self._client.provider
        promised = provider.metadata.get("authorization_response_iss_parameter_supported") is True
        if iss is None and not promised:
            return
        if provider.issuer is not None and iss != provider.issuer:
            raise RedirectMismatchError(
                f"The redirect {'names another issuer' if iss else 'names no issuer'}; this "
                f"login was sent to {provider.issuer}. The code was not used.",
                evidence=evidence,
            )


def _query(redirect: str, evidence: Evidence) -> dict[str, str]:
    # What a terminal could not decode must not break the checks.
    text = redirect.strip().encode("utf-8", "replace").decode()
    try:
        query = urlsplit(text).query or (text.lstrip("?") if "://" not in text else "")
    except ValueError:
        query = ""
    answer: dict[str, str] = {}
    for name, values in parse_qs(query, keep_blank_values=True).items():
        if len(values) > 1:
            raise RedirectMismatchError(
                f"The redirect gives {printable(name)} more than once (RFC 6749 section 3.1).",
                evidence=evidence,
            )
        answer[name] = values[0]
    if not answer:
        raise RedirectMismatchError(
            "That is not the address of a redirect: copy the whole address that the browser "
            "shows after the login, with everything behind the question mark.",
            evidence=evidence,
        )
    return answer


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
    """Log in with the browser of this machine (RFC 8252 section 7.3).

    Listens for the redirect as long as the login takes: on the address in ``redirect_uri``, or on
    ``listen``.

    Args:
        client: Who logs in.
        scope: Scope names to ask for.
        extra: Provider-specific parameters; see ``AuthorizationCodeFlow``.
        resource: The APIs that the token is for (RFC 8707).
        par: Whether to push the request first; see ``AuthorizationCodeFlow``.
        redirect_uri: As it is registered: http to ``127.0.0.1``, ``[::1]`` or ``localhost``; with
            ``listen`` also https. Without a port, a free one is taken.
        listen: An IP address or ``localhost``, with or without a port, to listen on instead, as
            where a container's port is published or a proxy forwards the redirect.
        ports: Ports to try, in this order, if ``redirect_uri`` has none.
        prompt: Shows the person the address before a browser is opened; called once. With it, the
            login goes on if no browser can be opened.
        open_browser: Opens an address; by default the browser that ``BROWSER`` names, or the
            system's. It runs in a thread and may take as long as it likes. If it returns False,
            no browser was opened; what it raises ends the login.
        timeout: Seconds the person has.
        cancel: Ends the wait at once when it is set.

    Raises:
        BrowserUnavailableError: no browser could be opened, and there is no ``prompt``.
        ConfigurationError: no port could be listened on, or an argument cannot work.
        FlowTimeoutError: nobody came back in time.
        FlowCancelledError: ``cancel`` was set.
        AccessDeniedException: the person said no.
    """
    check_seconds("timeout", timeout)
    from ._loopback import LoopbackListener  # noqa: PLC0415 - an HTTP server only for a login

    flow = AuthorizationCodeFlow(client, scope=scope, extra=extra, resource=resource, par=par)
    with LoopbackListener(redirect_uri, listen=listen, ports=ports) as listener:
        request = flow.begin(listener.redirect_uri, cancel=cancel)
        listener.expect(request.state)
        if prompt is not None:
            prompt(request.url)
        # A browser in the foreground, such as w3m, must not keep anybody from the redirect.
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
    """Open a browser; end the wait for it if that fails."""
    try:
        opened = (open_browser or _system_browser)(url)
    except BaseException as error:  # noqa: BLE001 - raised by ``wait``, in the caller's thread
        listener.fail(error)
        return
    if opened is False and not shown:
        listener.fail(
            BrowserUnavailableError(
                "No browser could be opened on this machine. Show the address with prompt=print, "
                "log in on another device (grantway_grants.device_code.login), or paste the "
                "redirect (login_by_paste)."
            )
        )


def _system_browser(url: str) -> bool:
    from ._browser import open_browser  # noqa: PLC0415 - loaded for a login only

    return open_browser(url)


def check_registration(client: Client, *, cancel: threading.Event | None = None) -> None:
    """Find out whether the provider still knows the client, before a person is sent there.

    A provider shows an error page to the person if it does not know the client, and the browser
    never comes back (RFC 6749 section 4.1.2.1). So the token endpoint is asked with a code that
    cannot exist: it looks at the client first. Any other answer than the errors below is ignored.

    Args:
        client: The client to check.
        cancel: Ends waits between attempts at once when it is set.

    Raises:
        InvalidClientException: the provider does not know the client, or not its secret.
        UnauthorizedClientException: the client may not log in with a browser.
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
    """Log in with a browser on another machine: show the address, take the redirect back.

    Args:
        client: Who logs in.
        ask: Shows the login's address and gives back the address that the browser ended at.
        redirect_uri: As it is registered; nothing needs to listen there.
        scope: Scope names to ask for.
        extra: Provider-specific parameters; see ``AuthorizationCodeFlow``.
        resource: The APIs that the token is for (RFC 8707).
        par: Whether to push the request first; see ``AuthorizationCodeFlow``.
    """
    flow = AuthorizationCodeFlow(client, scope=scope, extra=extra, resource=resource, par=par)
    request = flow.begin(redirect_uri)
    return flow.finish(request, ask(request.url))
