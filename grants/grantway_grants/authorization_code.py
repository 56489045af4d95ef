"""The authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 8252)."""

from __future__ import annotations

import contextvars
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from grantway._exceptions import (
    BrowserUnavailableError,
    ConfigurationError,
    InvalidClientException,
    TokenError,
    TransportError,
    UnauthorizedClientException,
)
from grantway._requests.client import Client
from grantway._types.callables import is_async
from grantway._types.fields import GrantSchema, Scope, Text
from grantway._types.grant import Grant, Replay
from grantway._types.quantity import check_seconds
from grantway._types.token import Token
from grantway.hookspecs import hookimpl

from ._code_flow import (
    GRANT_TYPE,
    AuthorizationCodeFlow,
    AuthorizationRequest,
    code_challenge,
)
from ._flow import Callback, Flow, TokenCall, run, run_async

if TYPE_CHECKING:
    from ._loopback import LoopbackListener


__all__ = [
    "AUTHORIZATION_CODE",
    "GRANT_TYPE",
    "AuthorizationCodeFlow",
    "AuthorizationCodeSchema",
    "AuthorizationRequest",
    "CodeVerifier",
    "check_registration",
    "check_registration_async",
    "code_challenge",
    "grantway_register_grants",
    "login",
    "login_async",
    "login_by_paste",
    "login_by_paste_async",
]


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
        ports: Ports to try, in this order, if ``redirect_uri`` has none. A 0 at the end stands for
            any free port.
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
        steps = _to_redirect(flow, listener, prompt, open_browser, timeout)
        request, redirect = run(steps, client, cancel)
    return flow.finish(request, redirect, cancel=cancel)


async def login_async(
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
    timeout: float = 300.0,  # noqa: ASYNC109 - as login
) -> Token:
    """Log in with a browser on this machine without blocking the event loop; see ``login``.

    To stop waiting, cancel the task. The listener for the redirect runs in threads.

    Args:
        client: The client.
        scope: As for ``login``.
        extra: As for ``login``.
        resource: As for ``login``.
        par: As for ``login``.
        redirect_uri: As for ``login``.
        listen: As for ``login``.
        ports: As for ``login``.
        prompt: As for ``login``; may be asynchronous.
        open_browser: As for ``login``; called in a thread, so it must not be asynchronous.
        timeout: As for ``login``.
    """
    check_seconds("timeout", timeout)
    from ._loopback import LoopbackListener  # noqa: PLC0415

    flow = AuthorizationCodeFlow(client, scope=scope, extra=extra, resource=resource, par=par)
    async with LoopbackListener(redirect_uri, listen=listen, ports=ports) as listener:
        steps = _to_redirect(flow, listener, prompt, open_browser, timeout)
        request, redirect = await run_async(steps, client)
    return await flow.finish_async(request, redirect)


def _to_redirect(
    flow: AuthorizationCodeFlow,
    listener: LoopbackListener,
    prompt: Callable[[str], object] | None,
    open_browser: Callable[[str], object] | None,
    timeout: float,
) -> Flow[tuple[AuthorizationRequest, str]]:
    """Open the browser and wait for the redirect. Return the request and the redirect."""
    if is_async(open_browser):
        raise ConfigurationError(
            "open_browser: must not be asynchronous (async def), because it runs in a thread."
        )
    request = yield from flow._begin(listener.redirect_uri)  # noqa: SLF001 - same package
    listener.expect(request.state)
    if prompt is not None:
        yield Callback("prompt", prompt, request.url)
    # In a thread, because a browser in the foreground, such as w3m, blocks until it is closed.
    opening = partial(_open, request.url, open_browser, listener, shown=prompt is not None)
    threading.Thread(
        target=contextvars.copy_context().run, args=(opening,), name="grantway-browser", daemon=True
    ).start()
    return request, (yield from listener.redirect(timeout))


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
    except BaseException as error:  # noqa: BLE001 - raised where the login waits
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
    run(_check_registration(), client, cancel)


async def check_registration_async(client: Client) -> None:
    """Check that the provider knows the client, in an event loop; see ``check_registration``.

    Args:
        client: The client to check.
    """
    await run_async(_check_registration(), client)


def _check_registration() -> Flow[None]:
    try:
        yield TokenCall(
            {
                "grant_type": GRANT_TYPE,
                "code": f"check-{secrets.token_urlsafe(16)}",
                "redirect_uri": "http://127.0.0.1/callback",
                "code_verifier": secrets.token_urlsafe(32),
            }
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
    return run(_by_paste(flow, redirect_uri, ask), client)


async def login_by_paste_async(
    client: Client,
    ask: Callable[[str], object],
    *,
    redirect_uri: str,
    scope: list[str] | tuple[str, ...] | str | None = None,
    extra: Mapping[str, Any] | None = None,
    resource: str | Sequence[str] | None = None,
    par: bool | None = None,
) -> Token:
    """Log in with a browser on another machine, in an event loop; see ``login_by_paste``.

    Args:
        client: The client.
        ask: As for ``login_by_paste``; may be asynchronous.
        redirect_uri: As for ``login_by_paste``.
        scope: As for ``login_by_paste``.
        extra: As for ``login_by_paste``.
        resource: As for ``login_by_paste``.
        par: As for ``login_by_paste``.
    """
    flow = AuthorizationCodeFlow(client, scope=scope, extra=extra, resource=resource, par=par)
    return await run_async(_by_paste(flow, redirect_uri, ask), client)


def _by_paste(
    flow: AuthorizationCodeFlow, redirect_uri: str, ask: Callable[[str], object]
) -> Flow[Token]:
    request = yield from flow._begin(redirect_uri)  # noqa: SLF001 - same package
    redirect: str = yield Callback("ask", ask, request.url)
    return (yield from flow._finish(request, redirect))  # noqa: SLF001
