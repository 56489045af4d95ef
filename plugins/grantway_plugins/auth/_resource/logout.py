"""Log out of a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grantway._exceptions import GrantwayError

if TYPE_CHECKING:
    from grantway._types.token import Token

    from .clients import Session
    from .sessions import Sessions


def log_out(sessions: Sessions) -> bool:
    """Delete the token of a resource, revoke it, and return whether there was one.

    Raises:
        GrantwayError: It was deleted, but could not be revoked.
    """
    settings, session = sessions.settings, sessions.session_of(sessions.records.read())
    if session is None:
        return False
    problem: GrantwayError | None = None
    key = session.credential.key
    # Hold the lock so that a concurrent refresh cannot store another token.
    with settings.store.lock(key, settings.timeout) as fence:
        stored = settings.store.load(key)
        if stored is not None:
            problem = _revoke(session, stored)
        settings.store.delete(key, fence=fence)
    sessions.forget(session)
    record = sessions.records.read()
    for former in () if record is None else record.former_keys:
        settings.store.delete(former)
    if problem is not None:
        raise problem
    return stored is not None


def _revoke(session: Session, stored: Token) -> GrantwayError | None:
    """Revoke a token (RFC 7009), and return the error if that failed."""
    if session.provider.revocation_endpoint is None:
        return None
    # The refresh token first: providers may revoke its access tokens with it.
    for kind in ("refresh_token", "access_token"):
        if getattr(stored, kind):
            try:
                session.client.call("revocation", token=getattr(stored, kind), token_type_hint=kind)
            except GrantwayError as error:
                return error
    return None
