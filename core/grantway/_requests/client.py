"""The client of one provider."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._plugins.registry import Registry
from grantway._processes.copies import check_parts, reject_pickling
from grantway._secrets.hidden_arguments import hides_arguments
from grantway._secrets.params import Params
from grantway._transport.deadline import Deadline
from grantway._types.grant import Grant
from grantway._types.quantity import check_count, check_seconds
from grantway._wire.dialect import Dialect

from .client_auth import JWT_BEARER, ClientAuth, check_client_auth, named_auth
from .computed_parameters import hidden_params
from .dispatcher import Dispatcher
from .middleware.contract import name_of, problem_of
from .provider import Provider
from .retry import RetryPolicy
from .transport_check import check_transport

if TYPE_CHECKING:
    from typing import Self

    from grantway._credentials.credential import Credential
    from grantway._credentials.credential_config import OnToken
    from grantway._credentials.pool import CredentialPool
    from grantway._transport.http import Transport
    from grantway._types.freshness import Freshness
    from grantway._types.secret_source import SecretSource
    from grantway._types.store import AsyncStore, Store
    from grantway._types.token import Token

    from .middleware import Middleware

_MAKE_ONE = "Make one in the process that uses it"


class Client:
    """A client of one provider. Create it once and reuse it: it pools connections.

    Safe for threads and event loops: one client may serve both, and several loops. Each loop has
    its own connections. After a fork, the child opens new connections.

    Args:
        provider: The provider.
        client_id: The client's identifier at the provider.
        client_secret: The client's secret, or a source of it; None for a public client.
        client_assertion: An assertion that another issuer signed (RFC 7521), or a source of it, to
            authenticate with instead of a secret: for example the token of a Kubernetes service
            account.
        client_assertion_type: The format of ``client_assertion``; by default a JWT (RFC 7523).
        auth: ``none``, ``client_secret_basic``, ``client_secret_post``, a method that a plugin
            registered, or a ``ClientAuth`` object; by default the dialect's method.
        registry: Provides the grants; by default the registry of the process, including later
            registrations and reloads.
        grants: Additional grants for this client alone.
        middleware: Runs around every call of this client, inside the middleware of the registry's
            plugins. It sees grantway's errors, and each call once, however often it is retried.
        transport: Sends the requests; by default a new ``HttpTransport``.
        retry: When to retry.
        timeout: Longest duration of a call in seconds, including retries and waits.

    Raises:
        ConfigurationError: An argument is invalid; names it.
        GrantConflictError: One of ``grants`` is registered already and does not set ``replaces``.
        GrantInvalidError: One of ``grants`` cannot be used.
    """

    @hides_arguments
    def __init__(
        self,
        provider: Provider,
        *,
        client_id: str,
        client_secret: str | SecretSource | None = None,
        client_assertion: str | SecretSource | None = None,
        client_assertion_type: str = JWT_BEARER,
        auth: str | ClientAuth | None = None,
        registry: Registry | None = None,
        grants: Iterable[Grant] = (),
        middleware: Iterable[Middleware] = (),
        transport: Transport | None = None,
        retry: RetryPolicy | None = None,
        timeout: float = 30.0,
    ) -> None:
        if not isinstance(provider, Provider):
            raise ConfigurationError(
                "provider: must be a grantway.Provider, like "
                'Provider(token_endpoint="https://example.com/token").'
            )
        check_seconds("timeout", timeout)
        self._given_transport = transport is not None
        if transport is None:
            from grantway._transport.transport import (  # noqa: PLC0415 - only where it is needed
                HttpTransport,
            )

            transport = HttpTransport.within(timeout)
        else:
            check_transport(transport, timeout)
        self.provider = provider
        self._transport = transport
        self._timeout = timeout
        self._retry = retry or RetryPolicy()
        self._grants = tuple(grants)
        self._middleware = tuple(middleware)
        for each in self._middleware:
            if problem := problem_of(each):
                raise ConfigurationError(
                    f"middleware: {name_of(each)} {problem}.",
                    errors={"middleware": ["must be a generator function of the exchange"]},
                )
        self._closed = False
        self._follows = registry is None
        self._bound = self._bind(default_registry() if registry is None else registry)
        shape = self._bound[1].dialect.request
        self.auth: ClientAuth
        if client_assertion is not None:
            if client_secret is not None or auth is not None:
                rule = "cannot be combined with client_secret or auth; remove one of them"
                raise ConfigurationError(
                    f"client_assertion: {rule}.", errors={"client_assertion": [rule]}
                )
            from .client_assertion import assertion_auth  # noqa: PLC0415 - few clients have one

            self.auth = assertion_auth(client_id, client_assertion, client_assertion_type)
        elif auth is None or isinstance(auth, str):
            self.auth = named_auth(
                auth,
                client_id,
                client_secret,
                shape,
                more=self.registry.client_auth,
                owner=self.registry.client_auth_owner,
            )
        else:
            self.auth = check_client_auth(auth)

    def __copy__(self) -> Self:
        """Return the client itself, which is safe to share."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the client itself, which is safe to share."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments of a client without secrets; the copy opens its own connections.

        Raises:
            TypeError: the client holds a secret, transport or registry, which must not leave the
                process.
        """
        if type(self) is not Client:
            reject_pickling(self, f"it is an instance of a subclass. {_MAKE_ONE}")
        if self.auth.secrets():
            reject_pickling(self, f"it holds a client secret. {_MAKE_ONE}")
        if self._given_transport:
            reject_pickling(self, f"it was given a transport, which holds connections. {_MAKE_ONE}")
        if not self._follows:
            reject_pickling(self, f"it was given a registry, which holds plugins. {_MAKE_ONE}")
        options: dict[str, Any] = {
            "auth": self.auth,
            "grants": self._grants,
            "middleware": self._middleware,
            "retry": self._retry,
            "timeout": self._timeout,
        }
        check_parts(self, provider=self.provider, **options)
        return partial(Client, client_id=self.client_id, **options), (self.provider,)

    @property
    def registry(self) -> Registry:
        """The registry that the next call uses."""
        return self.dispatcher().registry

    def dispatcher(self) -> Dispatcher:
        """Return the dispatcher for the current registry; a running call keeps its own."""
        base, dispatcher = self._bound
        if self._follows and base is not (current := default_registry()):
            # One attribute, so that no thread pairs a registry with the dispatcher of another.
            self._bound = bound = self._bind(current)
            dispatcher = bound[1]
        return dispatcher

    def _bind(self, base: Registry) -> tuple[Registry, Dispatcher]:
        return base, Dispatcher(
            base.with_grants(self._grants),
            self.provider,
            self._transport,
            self._retry,
            self._middleware,
        )

    @property
    def client_id(self) -> str:
        """The client identifier."""
        return self.auth.client_id

    @property
    def dialect(self) -> Dialect:
        """The provider's dialect."""
        return self.dispatcher().dialect

    def create_token(
        self,
        *,
        grant_type: str,
        extra: Mapping[str, str | list[str]] | None = None,
        timeout: float | None = None,
        cancel: threading.Event | None = None,
        attempts: int | None = None,
        **params: Any,
    ) -> Token:
        """Request a token (RFC 6749 section 4 and its extensions).

        In an event loop, this blocks every task; use ``create_token_async`` there.

        Args:
            grant_type: The grant type, as registered.
            extra: Provider-specific parameters, sent unchanged.
            timeout: Seconds for this call; by default the client's ``timeout``.
            cancel: Setting this event interrupts the wait between two attempts.
            attempts: Maximum number of sends; by default the retry policy's.
            **params: The grant's parameters, by their RFC names. A callable, for a nonce or a
                signed assertion, is called once for each send.

        Returns:
            The token.

        Raises:
            UnknownGrantTypeError: no plugin registered the grant; nothing was sent.
            RequestInvalidError: parameters violate the grant's schema; nothing was sent.
            TokenError: the provider returned an error; one class per code.
            OutcomeUnknownError: the request was sent and the response was lost.
            TransportError: there was no usable response for another reason.
        """
        # Hide the values from tools that print a traceback's locals.
        params, extra = hidden_params(params), _hidden(extra)
        dispatcher, deadline = self._begin(timeout, cancel, attempts)
        grant = dispatcher.registry.grant(grant_type)
        token, _ = dispatcher.token(grant, params, self.auth, deadline, extra, attempts=attempts)
        return token

    async def create_token_async(
        self,
        *,
        grant_type: str,
        extra: Mapping[str, str | list[str]] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as create_token
        attempts: int | None = None,
        **params: Any,
    ) -> Token:
        """Request a token without blocking the event loop; see ``create_token``.

        To interrupt the call, cancel its task. During a send, that closes the connection: the
        request may have reached the provider, and its response is lost. An asynchronous client
        calls middleware, client authentication and functions among the parameters in the event
        loop, so they must not block. A transport without ``send_async`` sends in a thread.

        Args:
            grant_type: As for ``create_token``.
            extra: As for ``create_token``.
            timeout: As for ``create_token``.
            attempts: As for ``create_token``.
            **params: As for ``create_token``.
        """
        params, extra = hidden_params(params), _hidden(extra)
        _reject_cancel(params)
        dispatcher, deadline = self._begin(timeout, None, attempts)
        grant = dispatcher.registry.grant(grant_type)
        token, _ = await dispatcher.token_async(
            grant, params, self.auth, deadline, extra, attempts=attempts
        )
        return token

    def call(
        self,
        step: str,
        *,
        extra: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        cancel: threading.Event | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        """Call another endpoint, authenticated as this client.

        In an event loop, this blocks every task; use ``call_async`` there.

        Args:
            step: ``device_authorization``, ``revocation``, ...: the endpoint's metadata name
                without ``_endpoint``.
            extra: Additional parameters, including those named like an argument of this method.
            timeout: Seconds for this call; by default the client's ``timeout``.
            cancel: Setting this event interrupts the wait between two attempts.
            **params: RFC names to values; None is omitted. A callable is called once for each send.

        Returns:
            The members of the response by RFC name; empty for an empty response.
        """
        params = hidden_params({**params, **(extra or {})})
        dispatcher, deadline = self._begin(timeout, cancel)
        return dispatcher.call(step, params, self.auth, deadline).payload

    async def call_async(
        self,
        step: str,
        *,
        extra: Mapping[str, Any] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as call
        **params: Any,
    ) -> dict[str, Any]:
        """Call another endpoint without blocking the event loop; see ``call``.

        Args:
            step: As for ``call``.
            extra: As for ``call``.
            timeout: As for ``call``.
            **params: As for ``call``.
        """
        params = hidden_params(params)
        _reject_cancel(params)
        params.update(hidden_params(extra))
        dispatcher, deadline = self._begin(timeout)
        return (await dispatcher.call_async(step, params, self.auth, deadline)).payload

    def _begin(
        self,
        timeout: float | None,
        cancel: threading.Event | None = None,
        attempts: int | None = None,
    ) -> tuple[Dispatcher, Deadline]:
        """Check the arguments of a call. Return its dispatcher and its deadline.

        Raises:
            ConfigurationError: An argument is invalid, or the client is closed.
        """
        if self._closed:
            raise ConfigurationError(
                "The client is closed, by close(), aclose() or the end of its with block; nothing "
                "was sent. Create a new client, or close this one after its last call."
            )
        if timeout is not None:
            check_seconds("timeout", timeout)
        if attempts is not None:
            check_count("attempts", attempts)
        return self.dispatcher(), Deadline(self._timeout if timeout is None else timeout, cancel)

    def credential(
        self,
        *,
        grant_type: str,
        subject: str = "",
        key: str | None = None,
        store: Store | AsyncStore | None = None,
        freshness: Freshness | None = None,
        on_token: OnToken | None = None,
        recheck: float | None = None,
        extra: Mapping[str, str | list[str]] | None = None,
        refresh: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Credential:
        """Return a credential that keeps a token fresh. Nothing is sent yet.

        The first token comes from the store or, if it has none, from the grant; later ones from the
        refresh token, if there is one. For an interactive grant, log in and pass the token to
        ``Credential.accept``.

        Args:
            grant_type: The grant for the first token.
            subject: The owner of the token, such as a tenant or user, if the parameters do not
                identify it.
            key: The token's name in the store; by default a fingerprint of the provider, the
                client, the subject and every parameter.
            store: Stores the token; None keeps it in the memory of this process.
            freshness: When to refresh the token; by default as the provider's dialect says.
            on_token: Called with every new token, after it is stored and before it is used.
                Exceptions propagate to the caller, and the next call passes the same token again.
                A plain function, which ``token_async()`` calls on the event loop.
            recheck: Seconds after which a held token is compared with the store's, so that a
                logout in another process takes effect. A token that is not in the store is dropped
                then. None never compares them: a logout elsewhere takes effect
                when the token expires, and this process restores tokens that the store has lost.
            extra: Provider-specific parameters, sent unchanged with the grant and each refresh.
            refresh: Additional parameters for a refresh, such as ``scope`` if the provider requires
                it, or values that differ from the grant's. ``resource`` and ``audience`` of the
                grant are repeated automatically.
            **params: The grant's parameters, by their RFC names. A callable is called once for each
                send, for example to sign a new assertion.

        Raises:
            UnknownGrantTypeError: no plugin registered the grant.
            RequestInvalidError: a parameter violates the grant's schema.
            ConfigurationError: an argument is invalid.
        """
        from grantway._credentials.credential import (  # noqa: PLC0415 - only where it is needed
            Credential,
        )
        from grantway._credentials.credential_config import CredentialConfig  # noqa: PLC0415

        params = hidden_params(params)  # as in create_token
        extra, refresh = hidden_params(extra), hidden_params(refresh)
        config = CredentialConfig(
            self,
            grant_type=grant_type,
            params=params,
            extra=extra,
            refresh=refresh,
            store=store,
            freshness=freshness,
            on_token=on_token,
            recheck=recheck,
            name=key,
        )
        return Credential(config, subject)

    def credential_pool(
        self,
        *,
        grant_type: str,
        entries: int = 100_000,
        store: Store | AsyncStore | None = None,
        freshness: Freshness | None = None,
        on_token: OnToken | None = None,
        recheck: float | None = None,
        extra: Mapping[str, str | list[str]] | None = None,
        refresh: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> CredentialPool:
        """Return a pool of credentials, one per name, that use the same grant and parameters.

        The name is the credential's ``subject``: ``pool.token("tenant-7")``. If tenants differ in
        their scope or client as well, pass a function to ``CredentialPool``.

        Args:
            grant_type: As for ``credential``.
            entries: Maximum number of credentials; above 4,096, up to an eighth more.
            store: As for ``credential``. Required for interactive grants, because a token that is
                evicted without a store requires a new login.
            freshness: As for ``credential``.
            on_token: As for ``credential``.
            recheck: As for ``credential``; each credential in use reads the store once in half of
                this time.
            extra: As for ``credential``.
            refresh: As for ``credential``.
            **params: As for ``credential``.
        """
        from grantway._credentials.credential import (  # noqa: PLC0415 - only where it is needed
            Credential,
        )
        from grantway._credentials.credential_config import CredentialConfig  # noqa: PLC0415
        from grantway._credentials.pool import CredentialPool  # noqa: PLC0415

        params = hidden_params(params)  # as in create_token
        extra, refresh = hidden_params(extra), hidden_params(refresh)
        config = CredentialConfig(
            self,
            grant_type=grant_type,
            params=params,
            extra=extra,
            refresh=refresh,
            store=store,
            freshness=freshness,
            on_token=on_token,
            recheck=recheck,
        )
        if store is None and (config.waits_for_login or config.spent_at_once):
            raise ConfigurationError(
                f"store: is required for {grant_type}, which needs a login: a pool with more than "
                f"{entries} names evicts tokens, and without a store their refresh tokens would be "
                "lost.",
                errors={"store": ["is required for this grant"]},
            )
        return CredentialPool(partial(Credential, config), entries=entries)

    @property
    def timeout(self) -> float:
        """Seconds for one call, over all attempts and waits."""
        return self._timeout

    def close(self) -> None:
        """Close the client and its idle connections, including those of event loops.

        Calls in progress continue. Later ones raise ``ConfigurationError``.
        """
        self._closed = True
        self._transport.close()

    async def aclose(self) -> None:
        """Close the client in an event loop; see ``close``."""
        self._closed = True
        aclose = getattr(self._transport, "aclose", None)
        if aclose is None:
            self._transport.close()
        else:
            await aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        # Also works if __init__ failed, because tools print the locals of a traceback.
        auth = getattr(self, "auth", None)
        return f"Client({self.provider.host!r}, client_id={auth and auth.client_id!r})"


def _reject_cancel(params: Params) -> None:
    """Reject the argument of the blocking methods, which would be sent as a parameter."""
    if "cancel" in params:
        raise ConfigurationError(
            "cancel: is an argument of the blocking methods only; nothing was sent. Cancel the "
            "task that awaits the call, or use asyncio.timeout.",
            errors={"cancel": ["is for blocking methods only"]},
        )


def _hidden(extra: Any) -> Any:
    """Return a mapping whose repr hides its values; leave other objects to the schema."""
    return hidden_params(extra) if isinstance(extra, Mapping) else extra
