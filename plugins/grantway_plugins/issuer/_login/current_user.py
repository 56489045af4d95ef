"""The user who is logged in with a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway._secrets.redaction import printable
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import digest, new_id
from grantway_plugins.issuer._decisions.user import User, local_user
from grantway_plugins.issuer._storage.sessions import LoginSession
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.issuer._storage.users import UserRecord

from .interface import Identity

#: Minimum seconds between two writes of the time of a session's last use.
_TOUCH_AFTER = 60.0
_SHOWN = 200


def user_of(issuer: Issuer, cookie: str, transaction: Transaction) -> User | None:
    """Return the user of a browser, and record the use of the session.

    Args:
        issuer: The issuer.
        cookie: Value of the browser's session cookie.
        transaction: The transaction.

    Returns:
        The user; the local user of an issuer without login; None if no user is logged in.
    """
    if issuer.login is None:
        return local_user(issuer.settings)
    session = transaction.sessions.find(digest(cookie))
    now = issuer.clock()
    if session is None or now >= session.expires_at:
        return None
    if now >= session.used_at + issuer.settings.sessions.idle:
        return None
    if now >= session.used_at + _TOUCH_AFTER:
        transaction.sessions.touch(session.digest, now)
    return User(
        session.subject,
        session.auth_time,
        session.session_id,
        name=str(session.details.get("name", "")),
        attempt=str(session.details.get("attempt", "")),
    )


def log_in(
    issuer: Issuer,
    identity: Identity,
    attempt_id: str,
    cookies: tuple[str, str],
    transaction: Transaction,
) -> None:
    """Store the user and a new session, and end the browser's previous session.

    Args:
        issuer: The issuer.
        identity: The user.
        attempt_id: The attempt.
        cookies: The browser's previous cookie, and its new one. Someone else may have set the
            previous one (session fixation).
        transaction: The transaction.
    """
    now = issuer.clock()
    limits = issuer.settings.sessions
    previous, new = cookies
    transaction.sessions.remove(digest(previous))
    transaction.users.save(UserRecord(identity.subject, dict(identity.claims), now))
    transaction.sessions.add(
        LoginSession(
            digest=digest(new),
            session_id=new_id(),
            subject=identity.subject,
            auth_time=now if identity.auth_time is None else min(identity.auth_time, now),
            used_at=now,
            expires_at=now + limits.lifetime,
            details={"name": _name(identity.claims), "attempt": digest(attempt_id).hex()},
        ),
        most=limits.per_user,
    )


def answer(cookie: str, user: User, transaction: Transaction) -> None:
    """Record that the request of the user's login attempt has been answered.

    The same link then demands another login, if the request has ``prompt=login``.
    """
    if user.attempt:
        transaction.sessions.set_details(digest(cookie), {"name": user.name})


def _name(claims: Mapping[str, Any]) -> str:
    """Return the user's name and address for pages, as far as they are known."""
    name, address = claims.get("name"), claims.get("email") or claims.get("preferred_username")
    texts = [printable(each)[:_SHOWN] for each in (name, address) if isinstance(each, str) and each]
    return " / ".join(dict.fromkeys(texts))
