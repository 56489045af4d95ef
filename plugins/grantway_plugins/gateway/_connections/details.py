"""The encrypted details of a connection: the user, the account and the granted scope."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from grantway._exceptions import StoreUnreadableError
from grantway._processes.copies import Value
from grantway._secrets.redaction import printable
from grantway._types.quantity import finite
from grantway_plugins._jwt import unverified_claims

from .user import User

if TYPE_CHECKING:
    from grantway._types.token import Token

    from .provider import ConnectionProvider
    from .sealed_json import SealedJson

_SHOWN = 200
#: Scope of OpenID Connect, which many providers rename in responses or leave out.
_OPENID = frozenset({"address", "email", "offline_access", "openid", "phone", "profile"})
#: Claims that name an account, best first.
_NAMES = ("email", "preferred_username", "name", "sub")


@dataclass(frozen=True, slots=True)
class Details(Value):
    """The encrypted details of a connection.

    Attributes:
        user: The user, or None if unknown.
        account: Name of the account at the provider; empty if unknown.
        account_id: Identifies the account at the provider; empty if unknown.
        scope: The granted scope.
        missing_scope: Requested scope that was not granted.
        ends_at: Time at which the connection ends without a refresh token, or None.
        identity: ``ConnectionProvider.identity``, which names the token in the store also if the
            provider is removed from the file; empty if unknown.
    """

    user: User | None = None
    account: str = ""
    account_id: str = field(default="", repr=False)
    scope: tuple[str, ...] = ()
    missing_scope: tuple[str, ...] = ()
    ends_at: float | None = None
    identity: str = ""

    @classmethod
    def of(cls, user: User, token: Token, at: ConnectionProvider, now: float) -> Self:
        """Return the details of a new token.

        The ID token of the response is not verified: it comes from the provider itself (OpenID
        Connect Core section 3.1.3.7), and names the account on pages only.
        """
        wanted = tuple(at.scope or ())
        granted = wanted if token.scope is None else token.scope
        missing = set(wanted) - set(granted) - _OPENID
        claims = unverified_claims(token.id_token or "")
        named = [claims[name] for name in _NAMES if isinstance(claims.get(name), str)]
        ends_at = None
        if not token.refresh_token:
            ends_at = token.expires_at
            if ends_at is None and token.expires_in is not None:
                ends_at = now + token.expires_in
        return cls(
            user,
            account=printable(named[0])[:_SHOWN] if named else "",
            account_id=json.dumps([claims.get("iss"), claims["sub"]]) if claims.get("sub") else "",
            scope=tuple(granted),
            missing_scope=tuple(each for each in wanted if each in missing),
            ends_at=ends_at,
            identity=at.identity,
        )

    def sealed(self, sealed_json: SealedJson, user_id: str, provider: str) -> str:
        """Return the details encrypted for one connection."""
        user = self.user
        named = None if user is None else [user.issuer, user.subject, user.name]
        rest = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "user"}
        return sealed_json.seal({"user": named, **rest}, _purpose(user_id, provider))

    @classmethod
    def opened(cls, text: str, sealed_json: SealedJson, user_id: str, provider: str) -> Self:
        """Return decrypted details; empty ones if no known key decrypts them."""
        try:
            found = sealed_json.open(text, _purpose(user_id, provider))
        except StoreUnreadableError:
            return cls()
        named = found.get("user")
        return cls(
            None if named is None else User(*named),
            account=found["account"],
            account_id=found["account_id"],
            scope=tuple(found["scope"]),
            missing_scope=tuple(found["missing_scope"]),
            ends_at=finite(found["ends_at"]),
            identity=found.get("identity", ""),
        )


def resealed(text: str, sealed_json: SealedJson, user_id: str, provider: str) -> str | None:
    """Return details encrypted with the newest key, or None if they are already.

    Raises:
        StoreUnreadableError: No known key decrypts them.
    """
    if sealed_json.is_current(text):
        return None
    purpose = _purpose(user_id, provider)
    return sealed_json.seal(sealed_json.open(text, purpose), purpose)


def _purpose(user_id: str, provider: str) -> str:
    return f"details {user_id} {provider}"
