"""Check the signature of a JWT with the keys that its issuer publishes."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from .cached_keys import KeySteps
from .key_set import KeySet, verified_claims


class KeySource(Protocol):
    """The keys of an issuer; see ``CachedKeys``."""

    def current(self) -> KeySteps:
        """Return the keys."""
        ...

    def after(self, known: KeySet) -> KeySteps:
        """Return newer keys than the known ones, if there are any."""
        ...


class SignatureError(Exception):
    """Raised for a signature that is not accepted; the message continues "The token ...".

    Attributes:
        unknown_key: Whether the issuer may publish the key later.
    """

    def __init__(self, problem: str, *, unknown_key: bool = False) -> None:
        super().__init__(problem)
        self.unknown_key = unknown_key


def signed_claims(
    token: str, header: Mapping[str, Any], source: KeySource, algorithms: Collection[str]
) -> Generator[Future[KeySet | str], KeySet | str, dict[str, Any]]:
    """Return the claims of a token that its issuer signed; read new keys if the key is unknown.

    Args:
        token: The token.
        header: Its header, not verified.
        source: The issuer's keys.
        algorithms: Accepted algorithms.

    Raises:
        SignatureError: the issuer did not sign the token.
        KeysUnavailableError: the keys cannot be read at the moment.
    """
    if header.get("alg") not in algorithms:
        raise SignatureError("has an algorithm that algorithms does not list")
    keys = yield from source.current()
    claims = verified_claims(token, keys.fitting(header, algorithms))
    if claims is None and not keys.has(header.get("kid")):
        keys = yield from source.after(keys)
        claims = verified_claims(token, keys.fitting(header, algorithms))
    if claims is not None:
        return claims
    if keys.has(header.get("kid")):
        raise SignatureError("has an invalid signature")
    raise SignatureError("is signed with a key that the issuer does not publish", unknown_key=True)
