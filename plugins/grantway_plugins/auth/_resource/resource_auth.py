"""The token of a protected resource that a program knows only by its URL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from grantway._processes.threads import in_thread
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.params import Params
from grantway._types.callables import kind_of
from grantway._types.token import Token
from grantway_plugins.auth._bearer import Bearer
from grantway_plugins.auth._exchange import Exchange
from grantway_plugins.auth._library_auth import LibraryAuth
from grantway_plugins.auth._origin import invalid

from .covered_urls import is_covered
from .login_call import Login
from .logout import log_out
from .need import Need, Reason
from .pickling import check_can_be_pickled
from .settings import ResourceSettings, scope_of
from .step_up import ResourceStepUp
from .tokens import ResourceTokens

if TYPE_CHECKING:
    from grantway._requests.client import Client
    from grantway._requests.client_auth import ClientAuth
    from grantway._transport.http import Transport
    from grantway._types.secret_source import SecretSource
    from grantway._types.store import Store


class ResourceAuth(LibraryAuth):
    """Logs in to a protected resource, and adds its token to requests.

    ::

        auth = ResourceAuth(
            "https://mcp.example.com/mcp",
            client_name="My agent",
            store="file",
            login=authorization_code.login,
        )
        requests.get(url, auth=auth)
        httpx2.AsyncClient(auth=auth)  # also Client, and those of httpx
        aiohttp.ClientSession(middlewares=[auth])

    Without a stored token, a request is sent without one. If the resource demands a token, this
    object finds the authorization server (RFC 9728, RFC 8414), identifies the client, logs in, and
    sends the request again. Everything is kept in the store: later requests and processes use the
    stored token and refresh it. Concurrent requests, and processes that share the store, share one
    login and one refresh.

    A request is sent again in the cases that ``TokenAuth`` describes. If the resource requires more
    scope or another login (RFC 6750, RFC 9470), ``login`` is called once more, with the scope of
    the token and the required one. If the resource names another authorization server than before,
    the user logs in there; client and tokens of the former one are not used.

    Only the resource gets the token: its URL, URLs below, and those that its metadata includes.
    Requests to other URLs raise ``ConfigurationError``; aiohttp sends them without the token. A
    redirect to another URL is followed without the token.

    Args:
        url: URL of the resource: https, or http on this machine.
        login: Logs in. Called as ``login(client, scope=..., resource=...)`` if only a login gets a
            token, and returns the token; ``extra`` is passed as well if the resource requires
            another login. ``authorization_code.login`` and ``device_code.login`` are such
            functions, and may be asynchronous for async callers (``login_async``). If it has the
            parameters ``redirect_uri``, ``ports`` and ``cancel``, it gets them as well. None raises
            ``LoginNeededError`` instead.
        store: A store, or the name of a registered one, such as ``file``; by default a new one in
            the memory of this process.
        client_name: Name of the program that users see, to register the client (RFC 7591).
        client_metadata_url: URL of the client's metadata document, which is its ``client_id`` at
            authorization servers that read such documents.
        client_id: The ``client_id`` of a client that is registered already. It is sent to one
            authorization server only.
        client_secret: The secret of that client, or a source of it; requires ``issuer``.
        auth: The authentication of that client, as for ``grantway.Client``; requires ``issuer``,
            so that the secret is not sent to another authorization server.
        dpop_key: A private key to which the tokens are bound (RFC 9449), as for ``DPoP``.
        issuer: The authorization server at which ``client_id`` is registered, or the one to use if
            the resource lists several or publishes no metadata.
        scope: The scope of logins; by default what the resource names, with ``offline_access`` if
            the authorization server offers it.
        redirect_uri: The redirect URI of browser logins; by default ``http://127.0.0.1/callback``.
        subject: The owner of the token, if several users share the store.
        transport: Sends the requests to the authorization server. By default, responses have at
            most 64 KiB, and hosts on private networks are not contacted, unless the resource is on
            one.
        timeout: Timeout of each request to the authorization server in seconds.

    Raises:
        ConfigurationError: An argument is invalid.
        InsecureEndpointError: The URL uses plain http on another machine.
    """

    @hides_arguments
    def __init__(
        self,
        url: str,
        *,
        login: Login | None = None,
        store: str | Store | None = None,
        client_name: str | None = None,
        client_metadata_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | SecretSource | None = None,
        auth: str | ClientAuth | None = None,
        dpop_key: Any = None,
        issuer: str | None = None,
        scope: str | Sequence[str] | None = None,
        redirect_uri: str | None = None,
        subject: str = "",
        transport: Transport | None = None,
        timeout: float = 30.0,
    ) -> None:
        if login is not None and not callable(login):
            raise invalid("login", f"must be a function, or None, not {kind_of(login)}.")
        arguments = Params(
            store=store,
            client_name=client_name,
            client_metadata_url=client_metadata_url,
            client_id=client_id,
            client_secret=client_secret,
            auth=auth,
            dpop_key=dpop_key,
            issuer=issuer,
            scope=scope,
            redirect_uri=redirect_uri,
            subject=subject,
            transport=transport,
            timeout=timeout,
        )
        self._arguments = Params(arguments, login=login)
        self._settings = ResourceSettings.of(url, **arguments)
        self._bearer = Bearer(origins=[url])
        self._tokens = ResourceTokens(self._settings, login)
        self._step_up = ResourceStepUp(self._settings, self._tokens, login)

    # --- Requests ---------------------------------------------------------------------------------

    def _allows(self, url: str) -> bool:
        return self._bearer.allows(url) and self._covers(url)

    def _covers(self, url: str) -> bool:
        """Return whether a URL belongs to the resource."""
        session = self._tokens.sessions.session
        identifier = session.provider.resource if session is not None else None
        return is_covered(url, self._settings.base, identifier)

    def _exchange(self, method: str, url: str) -> Exchange:
        exchange = Exchange(
            method,
            url,
            source=self._tokens,
            bearer=self._bearer,
            dpop=self._settings.prover,
            step_up=self._step_up,
            finder=self._tokens,
            covers=self._covers,
        )
        if not self._covers(url):
            raise invalid("url", f"the token is for {self._settings.url}, not for this URL.")
        return exchange

    # --- Tokens -----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """URL of the resource."""
        return self._settings.url

    def token(self, timeout: float | None = None) -> Token:
        """Return a valid token. Logs in if only a login gets one.

        Args:
            timeout: Longest wait in seconds; by default the ``timeout`` of the object for a
                refresh, and no limit for a login.

        Raises:
            LoginNeededError: A login is necessary, and there is no ``login``, or the last login
                failed less than a minute ago.
            ResourceMetadataError: The metadata of the resource is missing or invalid.
            GrantwayError: As for ``Credential.token``, or an error of ``login``.
        """
        return self._tokens.token(timeout)

    async def token_async(self, timeout: float | None = None) -> Token:  # noqa: ASYNC109 - as token()
        """Return a valid token without blocking the event loop; see ``token``."""
        return await self._tokens.token_async(timeout)

    def invalidate(self, token: Token) -> None:
        """Report that the resource rejected a token; the next call of ``token`` gets another."""
        self._tokens.invalidate(token)

    def log_in(self, *, scope: str | Sequence[str] | None = None) -> Token:
        """Log in, even if there is a token or the last login failed a moment ago.

        Args:
            scope: Scope to request in addition, for example after a ``StepUpRequiredError``.

        Raises:
            ConfigurationError: There is no ``login``.
            GrantwayError: As for ``token``.
        """
        return self._tokens.jobs.wait(self._login_need(scope))

    async def log_in_async(self, *, scope: str | Sequence[str] | None = None) -> Token:
        """Do the same as ``log_in`` without blocking the event loop."""
        return await self._tokens.jobs.wait_async(self._login_need(scope))

    def _login_need(self, scope: str | Sequence[str] | None) -> Need:
        """Return the need for a login that is not delayed because of earlier failures."""
        self._tokens.jobs.failures.clear()
        self._step_up.forget_failures()
        return Need(Reason.LOG_IN, scope=scope_of(scope) or ())

    def log_out(self) -> bool:
        """Delete the token from the store, and revoke it if the provider supports that (RFC 7009).

        The registration of the client is kept.

        Returns:
            Whether there was a token.

        Raises:
            StoreError: The token could not be deleted.
            GrantwayError: The token was deleted, but could not be revoked.
        """
        return log_out(self._tokens.sessions)

    async def log_out_async(self) -> bool:
        """Do the same as ``log_out`` without blocking the event loop."""
        return await in_thread(log_out, self._tokens.sessions)

    def client(self) -> Client:
        """Return the client at the authorization server, for a login of the program's own.

        Finds the authorization server and registers the client if necessary. Pass the token of the
        login to ``accept``.

        Raises:
            GrantwayError: As for ``token``.
        """
        self._tokens.jobs.reject_own_login()
        return self._tokens.sessions.find().client

    async def client_async(self) -> Client:
        """Do the same as ``client`` without blocking the event loop."""
        return await in_thread(self.client)

    def accept(self, token: Token) -> None:
        """Store and use a token from elsewhere, such as from a login with ``client()``.

        After ``client()``, the token must be of the authorization server of its last client, even
        if the resource has named another one since then.

        Raises:
            StoreError: The token could not be stored.
            GrantwayError: As for ``client``.
        """
        self._tokens.jobs.reject_own_login()
        self._tokens.sessions.accept(token)

    async def accept_async(self, token: Token) -> None:
        """Do the same as ``accept`` without blocking the event loop."""
        await in_thread(self.accept, token)

    def close(self) -> None:
        """Close idle connections. The object can still be used."""
        self._settings.close()

    # --- Copies -----------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments.

        Raises:
            TypeError: The copy could not find the token, or a secret would leave this process.
        """
        given = {name: value for name, value in self._arguments.items() if value is not None}
        check_can_be_pickled(self, given)
        return partial(ResourceAuth, **given), (self._settings.url,)

    def __repr__(self) -> str:
        return f"ResourceAuth({self._settings.url!r})"
