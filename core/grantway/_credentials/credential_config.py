"""How a token is obtained and renewed: the part that many credentials have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError, LoginNeededError
from grantway._processes.copies import check_parts, refuse_pickle
from grantway._requests.computed_parameters import computed_names
from grantway._secrets.redaction import SECRET_NAME
from grantway._types.callables import is_async
from grantway._types.freshness import Freshness
from grantway._types.grant import Params, Scope
from grantway._types.store import Store, problem_of
from grantway._types.token import Token

from .carry_over import carry_over
from .fingerprint import fingerprint

if TYPE_CHECKING:
    from grantway._requests.client import Client

    from .credential import Credential

_REFRESH = "refresh_token"
#: Parameters that say which API a token is for (RFC 8707, RFC 8693); each refresh repeats them.
_TARGETS = ("resource", "audience")

#: Called with every new token, after it was stored and before it is used.
OnToken = Callable[[Token], None]


class CredentialConfig:
    """What is asked for, of whom, and where the answer rests. Shared; nothing in it changes.

    Args:
        client: Asks the provider.
        grant_type: How the first token comes, and each one that no refresh token brings.
        params: The grant's parameters. A value that is callable is called for each send.
        extra: Provider-specific parameters, sent with the grant and with each refresh.
        refresh: More parameters for a refresh, such as ``scope`` where the provider wants it, or
            other values than the grant's.
        store: Where the token rests; None keeps it in this process alone.
        freshness: When it is renewed; by default what the provider's dialect says.
        on_token: Called with every new token.
        name: The token's name in the store; by default a fingerprint of all that makes the token
            different from another.

    Raises:
        UnknownGrantTypeError: no plugin registered the grant.
        RequestInvalidError: a parameter breaks the grant's schema.
        ConfigurationError: an argument cannot work.
    """

    __slots__ = (
        "_facts",
        "client",
        "extra",
        "freshness",
        "grant_type",
        "name",
        "on_token",
        "params",
        "refresh",
        "spent_at_once",
        "store",
        "variable",
        "waits_for_login",
    )

    def __init__(
        self,
        client: Client,
        *,
        grant_type: str,
        params: Mapping[str, Any],
        extra: Mapping[str, str | list[str]] | None,
        refresh: Mapping[str, Any] | None,
        store: Store | None,
        freshness: Freshness | None,
        on_token: OnToken | None,
        name: str | None = None,
    ) -> None:
        grant = client.registry.grant(grant_type)
        params = grant.names.to_arguments(params)
        if refresh and _REFRESH in refresh:
            raise ConfigurationError(
                "refresh: must not hold refresh_token; the last token has it.",
                errors={"refresh": ["must not hold refresh_token"]},
            )
        _check(store, freshness, on_token)
        self.client = client
        self.grant_type = grant_type
        self.params = Params(params)
        self.extra = Params(extra or {})
        self.refresh = Params(refresh or {})
        self.store = store
        self.freshness = client.dialect.freshness if freshness is None else freshness
        self.on_token = on_token
        self.name = name
        #: Parameters that are computed for each send, so that they do not identify a token.
        self.variable = computed_names(self.params) | computed_names(self.extra)
        once = grant.names.all_of(grant.single_use)
        if grant_type == _REFRESH:
            once |= {_REFRESH}
        #: A person must begin it, and has not: the first token comes by ``accept``.
        self.waits_for_login = bool(once) and not once & params.keys()
        #: What was given buys one token and no second.
        self.spent_at_once = bool((once & params.keys()) - self.variable)
        # Read as the grant reads them, so that "a b" and ["a", "b"] name one scope.
        known = grant.load(
            _constant(self.params),
            partial=self.waits_for_login or bool(self.variable),
        )
        self._facts = "" if name else self._digest(known, grant.names.all_of(grant.secret))

    def _digest(self, known: Mapping[str, Any], secret: frozenset[str]) -> str:
        client = self.client
        facts = Params(
            {
                "version": 1,
                "issuer": client.provider.issuer,
                "token_endpoint": client.provider.token_endpoint,
                "dialect": client.dialect.name,
                "client_id": client.client_id,
                # A token that is bound to a key (RFC 9449) is of no use to who has another.
                "key": getattr(client.auth, "thumbprint", None),
                "grant_type": self.grant_type,
                "params": known,
                "extra": _constant(self.extra),
                "refresh": _constant(self.refresh),
            }
        )
        return fingerprint(facts, secret)

    def key(self, subject: str) -> str:
        """The name of the token in a store.

        Args:
            subject: Whose token it is, where the parameters do not tell.
        """
        return self.name or fingerprint({"facts": self._facts, "subject": subject})

    def pickled(self, credential: Credential, subject: str) -> tuple[Any, ...]:
        """Return what ``Credential.__reduce__`` returns.

        Args:
            credential: The credential, for the error.
            subject: Whose token it is.

        Raises:
            TypeError: the copy could not find the token, or a secret would leave this process.
        """
        make_one = "make it in the process that uses it"
        if self.store is None:
            refuse_pickle(
                credential,
                "it keeps its token in this process alone; give it a store that the processes "
                f"share, such as FileStore, or {make_one}",
            )
        grant = self.client.registry.grant(self.grant_type)
        secret = grant.names.all_of(grant.secret)
        given = {**self.params, **self.extra, **self.refresh}
        if held := sorted(
            name
            for name, value in given.items()
            if not callable(value) and (name in secret or SECRET_NAME.match(name))
        ):
            refuse_pickle(credential, f"it holds secrets ({', '.join(held)}); {make_one}")
        options: dict[str, Any] = {
            "params": self.params,
            "extra": self.extra,
            "refresh": self.refresh,
            "store": self.store,
            "freshness": self.freshness,
            "on_token": self.on_token,
        }
        check_parts(credential, client=self.client, **options)
        remade = partial(CredentialConfig, grant_type=self.grant_type, name=self.name, **options)
        return _credential, (remade, self.client, subject)

    def check_subject(self, subject: str) -> None:
        """Refuse a token without a name of its own.

        Raises:
            ConfigurationError: a parameter is computed for each send, and neither a subject nor a
                name tells whose token it brings.
        """
        if self.variable and not subject and not self.name:
            raise ConfigurationError(
                f"subject: {', '.join(sorted(self.variable))} is computed for each send, so "
                'say whose token it brings, like subject="tenant-7".',
                errors={"subject": ["is required where a parameter is callable"]},
            )

    def first(self) -> Token:
        """Ask with the grant itself.

        Raises:
            GrantwayError: there was no token.
        """
        if self.waits_for_login:
            raise LoginNeededError(
                f"No token is stored for client {self.client.client_id!r} at "
                f"{self.client.provider.host}: log in, and give the token to accept()."
            )
        return self.client.create_token(
            grant_type=self.grant_type, extra=Params(self.extra) or None, **self.params
        )

    def next(self, last: Token) -> Token:
        """Ask with the refresh token of the last token.

        A refresh repeats ``resource``, ``audience`` and the provider-specific parameters of the
        grant. It repeats no scope: without one the provider keeps what was granted, which may be
        less than what was asked for (RFC 6749 section 6).

        Raises:
            GrantwayError: there was no token.
        """
        given = Params(self.extra)
        carried = (*_TARGETS, "scope") if self.grant_type == _REFRESH else _TARGETS
        own = self.client.registry.grant(self.grant_type).names.to_wire(self.params)
        for name in carried:
            if name in own:
                given[name] = own[name]
        given.update(self.refresh)
        # RFC 6749 section 6 knows a scope only, so the rest is provider-specific.
        names = self.client.registry.grant(_REFRESH).names
        extra = Params({name: given.pop(name) for name in given.keys() - {*names.wire.values()}})
        scope = given.get("scope")
        sent = [scope]
        if callable(scope):

            def compute() -> Any:
                sent[0] = scope()
                return sent[0]

            given["scope"], sent[0] = compute, None
        given["refresh_token"] = last.refresh_token
        try:
            token = self.client.create_token(grant_type=_REFRESH, extra=extra or None, **given)
        except BaseException as error:
            if isinstance(came := getattr(error, "token", None), Token):
                vars(error)["token"] = carry_over(came, last, Scope().names(sent[0]))
            raise
        return carry_over(token, last, Scope().names(sent[0]))


def _constant(params: Params) -> Params:
    computed = computed_names(params)
    return Params({name: value for name, value in params.items() if name not in computed})


def _credential(
    recipe: Callable[[Client], CredentialConfig], client: Client, subject: str
) -> Credential:
    from .credential import Credential  # noqa: PLC0415 - it imports this module

    return Credential(recipe(client), subject)


def _check(store: object, freshness: object, on_token: object) -> None:
    """Refuse now what would else fail when the first token has come."""
    wrong = {}
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
