"""Authentication of the gateway's callers."""

from __future__ import annotations

import hmac
import inspect
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer._decisions.authentication import credentials_of
from grantway_plugins.issuer._decisions.randomness import digest
from grantway_plugins.server._http.denial import DenialError
from grantway_plugins.server._http.redirect_uri import check_redirect_uri, is_registered
from grantway_plugins.server._http.wire import WireRequest

#: Length of 128 bits in base64.
SHORTEST_SECRET = 22

_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_MUST_BE_HASH = "must be made by grantway_plugins.gateway.hash_secret"

_log = logging.getLogger("grantway.gateway")


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    Attributes:
        client_id: The caller's client ID at the gateway.
        grant_types: Grant types that the caller may use; None for all that the endpoint serves.
        redirect_uris: The caller's redirect URIs. A broker accepts an authorization code only with
            one of them. Two callers must not share one.
        alone: Whether it is the only caller, so that every authorization code belongs to it.
    """

    client_id: str
    grant_types: frozenset[str] | None = None
    redirect_uris: frozenset[str] | None = None
    alone: bool = False


#: Called with client ID and secret (None if none was sent). The caller is accepted only if the
#: result is ``True`` or a ``Principal``.
ClientRule = Callable[[str, str | None], "bool | Principal | None"]

#: Secret of one client: the result of ``hash_secret``, a list of such results (to accept several
#: secrets during a rotation), or None for a client without a secret.
ClientHashes = str | Sequence[str] | None


def hash_secret(secret: str) -> str:
    """Return the hash of a secret, as ``sha256:`` and 64 hex digits.

    A fast hash protects only random secrets, such as ``secrets.token_urlsafe(32)``. For passwords
    that people chose, pass a function as ``clients`` that uses a slow hash.

    Args:
        secret: Secret of at least 22 characters.

    Raises:
        ConfigurationError: The secret is shorter.
    """
    if not isinstance(secret, str) or len(secret) < SHORTEST_SECRET:
        raise ConfigurationError(
            f"secret: must be random and have at least {SHORTEST_SECRET} characters, like "
            "secrets.token_urlsafe(32); for passwords that people chose, pass a function with a "
            "slow hash as clients."
        )
    return f"sha256:{digest(secret).hex()}"


def client_rule(
    clients: ClientRule | Mapping[str, ClientHashes] | None,
    redirect_uris: Mapping[str, Iterable[str]] | None = None,
) -> ClientRule:
    """Return the function that authenticates callers.

    Args:
        clients: A function, a mapping from client IDs to their ``ClientHashes``, or None to
            reject every caller.
        redirect_uris: Client IDs mapped to their redirect URIs; only with a mapping of clients.

    Raises:
        ConfigurationError: An argument is invalid.
    """
    if redirect_uris is not None and not isinstance(clients, Mapping):
        raise ConfigurationError(
            "redirect_uris: needs clients as a mapping; a function returns them in its Principal.",
            errors={"redirect_uris": ["needs clients as a mapping"]},
        )
    if clients is None:
        return _reject_everyone
    if isinstance(clients, Mapping):
        return _mapping_rule(dict(clients), own_redirect_uris(redirect_uris or {}, clients))
    if not callable(clients) or inspect.iscoroutinefunction(clients):
        raise ConfigurationError(
            "clients: must be a function of client id and secret (not async; it runs in a worker "
            'thread), or a mapping like {"shop": hash_secret(...)}.'
        )
    return clients


def authenticated(request: WireRequest, rule: ClientRule) -> Principal:
    """Return the authenticated caller, by the credentials in its header or body.

    Raises:
        DenialError: Credentials are missing, sent by two methods at once, or rejected by the rule.
    """
    if request.params.get("client_assertion") is not None:
        raise DenialError(
            "invalid_client", "Authenticate with a client secret; assertions are not supported here"
        )
    given = credentials_of(request)
    if not (given.client_id + (given.secret or "")).isprintable():
        raise DenialError(
            "invalid_client", "The client id or secret has a character that is not allowed"
        )
    found: object = rule(given.client_id, given.secret)
    if isinstance(found, Principal):
        return found
    if found is True:
        return Principal(given.client_id)
    if found is not False and found is not None:
        _log.error(
            "The caller is rejected: clients returned a %s; return a bool, a Principal or None",
            type(found).__name__,
        )
    raise DenialError("invalid_client", "The client is unknown, or its authentication failed")


def _reject_everyone(_client_id: str, _secret: str | None) -> bool:
    return False


def own_redirect_uris(
    redirect_uris: Mapping[str, Iterable[str]], clients: Collection[str]
) -> dict[str, frozenset[str]]:
    """Check that each redirect URI belongs to one client.

    Raises:
        ConfigurationError: A client is unknown, a URI is invalid, or two clients share one.
    """
    found: dict[str, frozenset[str]] = {}
    for client_id, uris in redirect_uris.items():
        problem = ""
        if client_id not in clients:
            problem = "is not one of the clients"
        elif isinstance(uris, str) or not isinstance(uris, Iterable):
            problem = 'must have a list of URIs, like ["https://shop.example.com/callback"]'
        else:
            found[client_id] = own = frozenset(uris)
            problem = _uri_problem(client_id, own, found)
        if problem:
            raise ConfigurationError(
                f"redirect_uris: {client_id!a} {problem}.", errors={"redirect_uris": [problem]}
            )
    return found


def _uri_problem(client_id: str, own: frozenset[str], found: Mapping[str, frozenset[str]]) -> str:
    for uri in own:
        try:
            check_redirect_uri(uri)
        except ConfigurationError as error:
            return f"has a URI that {error.message}"
        for other, theirs in found.items():
            # The port of a loopback address is ignored, so compare patterns, not strings.
            if other != client_id and is_registered(uri, tuple(theirs)):
                return f"shares {uri} with {other!a}; give each client different ones"
    return ""


def check_hashes(given: object) -> tuple[str, ...]:
    """Return the hashes of a client's secrets.

    Args:
        given: The result of ``hash_secret``, or a list of such results.

    Raises:
        ConfigurationError: The value is invalid, or the list is empty. The message does not quote
            the value, because it may be the secret itself.
    """
    if isinstance(given, str):
        hashes: tuple[object, ...] = (given,)
    elif isinstance(given, Sequence) and not isinstance(given, bytes | bytearray):
        hashes = tuple(given)
    else:
        raise ConfigurationError(f"{_MUST_BE_HASH}, or a list of such hashes")
    if not hashes:
        raise ConfigurationError(
            "must not be an empty list; pass the hash of the client's secret, and during a "
            "rotation the hashes of the old and the new secret"
        )
    found = []
    for number, each in enumerate(hashes, 1):
        if not isinstance(each, str) or not _HASH.fullmatch(each):
            where = "" if len(hashes) == 1 else f" (hash {number} of {len(hashes)} is not)"
            raise ConfigurationError(f"{_MUST_BE_HASH}{where}; the secret itself is not accepted")
        found.append(each)
    return tuple(found)


def _mapping_rule(
    clients: dict[str, ClientHashes], redirect_uris: Mapping[str, frozenset[str]]
) -> ClientRule:
    hashes: dict[str, tuple[str, ...] | None] = {}
    for client_id, given in clients.items():
        if not isinstance(client_id, str) or not client_id:
            raise ConfigurationError('clients: must be a mapping from client IDs, like "shop".')
        try:
            hashes[client_id] = None if given is None else check_hashes(given)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"clients: the value for {client_id!a} {error.message}. Use None for a client "
                "without a secret."
            ) from None

    alone = len(hashes) == 1

    def rule(client_id: str, secret: str | None) -> Principal | None:
        if client_id not in hashes or not _is_valid_secret(hashes[client_id], secret):
            return None
        return Principal(client_id, redirect_uris=redirect_uris.get(client_id), alone=alone)

    return rule


def _is_valid_secret(hashes: tuple[str, ...] | None, secret: str | None) -> bool:
    if hashes is None or secret is None:
        return hashes is None and secret is None
    sent = f"sha256:{digest(secret).hex()}"
    # Compare every hash, so that the time does not reveal which one matched.
    return sum(hmac.compare_digest(each, sent) for each in hashes) > 0
