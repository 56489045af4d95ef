"""The settings of a credential: how its token is obtained, refreshed and stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import check_parts, reject_pickling
from grantway._secrets.params import Params
from grantway._secrets.redaction import SECRET_NAME
from grantway._types.callables import computed_names, is_async, kind_of
from grantway._types.freshness import Freshness
from grantway._types.quantity import check_seconds
from grantway._types.store import AsyncStore, Store, has_blocking_methods, problem_of
from grantway._types.token import Token

from .fingerprint import fingerprint
from .token_request import ComputedScope, TokenRequest
from .token_source import TokenSource

_REFRESH = "refresh_token"
#: Parameters that say which API a token is for (RFC 8707, RFC 8693); each refresh repeats them.
_TARGETS = ("resource", "audience")

#: Seconds that all calls of the store may take in one refresh; more than the stores' own timeouts.
_STORE_CALLS = 30.0

#: Called with every new token, after it was stored and before it is used.
OnToken = Callable[[Token], None]


class CredentialConfig:
    """The immutable settings that credentials share: grant, parameters, store, freshness.

    Args:
        source: Requests the tokens; a ``grantway.Client``.
        grant_type: The grant for the first token, and for any token without a refresh token.
        params: The grant's parameters. A callable value is called for each send.
        extra: Provider-specific parameters, sent with the grant and with each refresh.
        refresh: Additional parameters for refreshes, such as ``scope`` if the provider requires it;
            they replace the grant's values.
        store: Keeps the token; None keeps it in this process alone.
        freshness: When to refresh; by default the value of the provider's dialect.
        on_token: Called with every new token.
        recheck: Seconds after which a held token is compared with the stored one; None never
            compares them.
        name: Name of the token in the store; by default a fingerprint of all settings that
            distinguish the token from others.
        login: Says how to log in, for ``LoginNeededError``; None to name ``accept``.

    Raises:
        UnknownGrantTypeError: No plugin registered the grant.
        RequestInvalidError: A parameter violates the grant's schema.
        ConfigurationError: An argument is invalid.
    """

    __slots__ = (
        "_facts",
        "extra",
        "freshness",
        "grant_type",
        "login",
        "name",
        "on_token",
        "params",
        "recheck",
        "refresh",
        "source",
        "spent_at_once",
        "store",
        "timeout",
        "variable",
        "waits_for_login",
    )

    def __init__(
        self,
        source: TokenSource,
        *,
        grant_type: str,
        params: Params,
        extra: Params,
        refresh: Params,
        store: Store | AsyncStore | None,
        freshness: Freshness | None,
        on_token: OnToken | None,
        recheck: float | None = None,
        name: str | None = None,
        login: str | None = None,
    ) -> None:
        grant = source.registry.grant(grant_type)
        params = grant.names.to_arguments(params)
        if _REFRESH in refresh:
            raise ConfigurationError(
                "refresh: must not contain refresh_token; it is taken from the last token.",
                errors={"refresh": ["must not contain refresh_token"]},
            )
        _check(store, freshness, on_token, recheck)
        self.source = source
        #: Seconds for a request, and for a wait for the store's lock.
        self.timeout = source.timeout
        self.grant_type = grant_type
        self.params, self.extra, self.refresh = params, extra, refresh
        self.store = store
        self.freshness = source.dialect.freshness if freshness is None else freshness
        self.on_token = on_token
        self.recheck = recheck
        self.name = name
        self.login = login
        #: Names of parameters that are computed for each send and so do not identify a token.
        self.variable = computed_names(self.params) | computed_names(self.extra)
        once = grant.names.all_of(grant.single_use)
        if grant_type == _REFRESH:
            once |= {_REFRESH}
        #: Whether the first token is passed to ``accept`` after a user has logged in.
        self.waits_for_login = bool(once) and not once & params.keys()
        #: Whether the parameters, such as a code, can be used only once.
        self.spent_at_once = bool((once & params.keys()) - self.variable)
        # Load the values with the schema, so that "a b" and ["a", "b"] are the same scope.
        known = grant.load(
            _constant(self.params),
            partial=self.waits_for_login or bool(self.variable),
        )
        self._facts = "" if name else self._digest(known, grant.names.all_of(grant.secret))

    def _digest(self, known: Mapping[str, Any], secret: frozenset[str]) -> str:
        source = self.source
        facts = Params(
            {
                "version": 1,
                "issuer": source.provider.issuer,
                "token_endpoint": source.provider.token_endpoint,
                "dialect": source.dialect.name,
                "client_id": source.client_id,
                # A token that is bound to a key (RFC 9449) is useless with another key.
                "key": getattr(source.auth, "thumbprint", None),
                "grant_type": self.grant_type,
                "params": known,
                "extra": _constant(self.extra),
                "refresh": _constant(self.refresh),
                **({} if source.provider.resource is None else {"for": source.provider.resource}),
            }
        )
        return fingerprint(facts, secret)

    def key(self, subject: str) -> str:
        """Return the name of the token in a store.

        Args:
            subject: The owner of the token, if the parameters do not identify it.
        """
        return self.name or fingerprint({"facts": self._facts, "subject": subject})

    def pickled(self, owner: object) -> tuple[partial[CredentialConfig], TokenSource]:
        """Return the function and the source that recreate these settings in another process.

        Args:
            owner: The credential, for the error.

        Raises:
            TypeError: The copy could not find the token, or a secret would leave this process.
        """
        make_one = "make it in the process that uses it"
        if self.store is None:
            reject_pickling(
                owner,
                "it keeps its token in this process alone; give it a store that the processes "
                f"share, such as FileStore, or {make_one}",
            )
        grant = self.source.registry.grant(self.grant_type)
        secret = grant.names.all_of(grant.secret)
        given = {**self.params, **self.extra, **self.refresh}
        if held := sorted(
            name
            for name, value in given.items()
            if not callable(value) and (name in secret or SECRET_NAME.match(name))
        ):
            reject_pickling(owner, f"it holds secrets ({', '.join(held)}); {make_one}")
        options: dict[str, Any] = {
            "params": self.params,
            "extra": self.extra,
            "refresh": self.refresh,
            "store": self.store,
            "freshness": self.freshness,
            "on_token": self.on_token,
            "recheck": self.recheck,
            "login": self.login,
        }
        check_parts(owner, client=self.source, **options)
        made = partial(CredentialConfig, grant_type=self.grant_type, name=self.name, **options)
        return made, self.source

    @property
    def longest(self) -> float:
        """Longest duration of a refresh in seconds: the lock, the request, calls of the store."""
        return 2 * self.timeout + _STORE_CALLS

    def require_blocking(self, call: str) -> None:
        """Check that a blocking method of the credential can use the store.

        Raises:
            ConfigurationError: The store has asynchronous methods only.
        """
        if self.store is None or has_blocking_methods(self.store):
            return
        raise ConfigurationError(
            f"{call}(): the store {kind_of(self.store)} has asynchronous methods only. Use: await "
            f"credential.{call}_async(), or give the store the methods load, save, delete and lock."
        )

    def check_subject(self, subject: str) -> None:
        """Check that the name of the token is unique.

        Raises:
            ConfigurationError: A parameter is computed for each send, and neither a subject nor a
                name identifies the token.
        """
        if self.variable and not subject and not self.name:
            raise ConfigurationError(
                f"subject: is required because {', '.join(sorted(self.variable))} is computed for "
                'each send; name the owner of the token, such as subject="tenant-7".',
                errors={"subject": ["is required where a parameter is callable"]},
            )

    def request(self, last: Token | None) -> TokenRequest:
        """Return the request for the next token.

        A refresh repeats ``resource``, ``audience`` and the provider-specific parameters of the
        grant, but not the scope: without it the provider keeps the granted scope, which may be
        narrower than the requested one (RFC 6749 section 6).

        Args:
            last: The token whose refresh token is sent; None to use the grant itself.

        Raises:
            UnknownGrantTypeError: The grant was removed from the registry.
        """
        if last is None:
            return TokenRequest(self.grant_type, self.params, self.extra)
        grants = self.source.registry
        given = Params(self.extra)
        carried = (*_TARGETS, "scope") if self.grant_type == _REFRESH else _TARGETS
        own = grants.grant(self.grant_type).names.to_wire(self.params)
        given.update((name, own[name]) for name in carried if name in own)
        given.update(self.refresh)
        # RFC 6749 section 6 defines the scope only, so the other parameters are provider-specific.
        standard = {*grants.grant(_REFRESH).names.wire.values()}
        extra = Params({name: given.pop(name) for name in given.keys() - standard})
        if callable(scope := given.get("scope")):
            given["scope"] = ComputedScope(scope)
        given["refresh_token"] = last.refresh_token
        return TokenRequest(_REFRESH, given, extra, last)


def _constant(params: Params) -> Params:
    computed = computed_names(params)
    return Params({name: value for name, value in params.items() if name not in computed})


def _check(store: object, freshness: object, on_token: object, recheck: object) -> None:
    """Check arguments that would otherwise fail only after the first token was issued."""
    wrong = {}
    if recheck is not None:
        check_seconds("recheck", recheck)
        if store is None:
            wrong["recheck"] = "needs a store to compare the token with; pass store, or omit it"
    if store is not None and (problem := problem_of(store)):
        wrong["store"] = (
            'must be a store, such as FileStore() or default_registry().store("file"), or None; '
            f"this one {problem}"
        )
    if freshness is not None and not isinstance(freshness, Freshness):
        wrong["freshness"] = "must be a Freshness, such as Freshness(advisory=600), or None"
    if on_token is not None and (not callable(on_token) or is_async(on_token)):
        wrong["on_token"] = "must be a function that takes a Token, and not async, or None"
    if wrong:
        raise ConfigurationError(
            " ".join(f"{name}: {rule}." for name, rule in wrong.items()),
            errors={name: [rule] for name, rule in wrong.items()},
        )
