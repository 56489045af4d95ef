"""The login status of a profile or of a session of the AWS tools, without secrets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from grantway._exceptions import GrantwayError
from grantway._secrets.redaction import printable, visible
from grantway._types.freshness import remaining
from grantway_plugins._jwt import unverified_claims
from grantway_plugins.profiles._profile import Profile

if TYPE_CHECKING:
    from grantway._types.freshness import Freshness
    from grantway._types.token import Token
    from grantway_plugins.aws._login.session import SsoSession
    from grantway_plugins.profiles._file import ProfileFile

#: ``fresh``: a valid token is stored. ``refreshable``: the stored token expired, and the next use
#: refreshes it. ``on demand``: no token is stored, and the next use requests one. ``broken``: the
#: profile or its store has an error.
State = Literal["fresh", "refreshable", "on demand", "login needed", "broken"]


@dataclass(frozen=True, slots=True)
class ProfileStatus:
    """The login status of one profile, as ``grantway status`` shows it.

    Attributes:
        profile: Name of the profile.
        state: State of the stored token.
        provider: Address of the provider.
        resource: Protected resources that the token is for.
        client_id: The client's ID; None before the client has registered.
        subject: User who logged in, from the ID token, which is not verified.
        scope: Granted scope, or the scope to request if unknown.
        expires_at: Unix time at which the token expires; None if unknown.
        refresh_at: Unix time from which the next use refreshes the token; None if it cannot be
            refreshed.
        refreshable: Whether the token can be refreshed without a login.
        store: Kind of the store.
        remedy: How to log in, if a login is needed.
        error: Error of the profile or its store.
    """

    profile: str
    state: State
    provider: str = ""
    resource: tuple[str, ...] | None = None
    client_id: str | None = None
    subject: str | None = None
    scope: tuple[str, ...] | None = None
    expires_at: float | None = None
    refresh_at: float | None = None
    refreshable: bool = False
    store: str = ""
    remedy: str = ""
    error: str = ""

    @property
    def logged_in(self) -> bool:
        """Whether a token is available without another login."""
        return self.state in {"fresh", "refreshable", "on demand"}

    def as_json(self) -> dict[str, Any]:
        """Return the status as ``--json`` prints it."""
        return {
            "profile": self.profile,
            "logged_in": self.logged_in,
            "state": self.state,
            "provider": self.provider,
            "resource": None if self.resource is None else list(self.resource),
            "client_id": self.client_id,
            "subject": self.subject,
            "scope": None if self.scope is None else list(self.scope),
            "expires_at": _time(self.expires_at),
            "refresh_at": _time(self.refresh_at),
            "refreshable": self.refreshable,
            "store": self.store,
            "remedy": self.remedy or None,
            "error": self.error or None,
        }


def read_status(file: ProfileFile, name: str) -> ProfileStatus:
    """Return the status of a profile. This reads its store, and sends no request.

    Errors of the profile or its store are returned in ``error``.

    Args:
        file: The profile file.
        name: Name of the profile.
    """
    try:
        with Profile(file, name) as profile:
            return status_of(profile, profile.store.load(profile.key))
    except GrantwayError as error:
        return ProfileStatus(name, "broken", error=str(error))
    except Exception as error:  # noqa: BLE001 - a faulty store must not hide the other profiles
        problem = f"the store raised {type(error).__name__}, which is a bug in its plugin"
        return ProfileStatus(name, "broken", error=problem)


def status_of(profile: Profile, token: Token | None) -> ProfileStatus:
    """Return the status of a profile that has this token in its store."""
    provider = profile.table["provider"]
    client_id = profile.table.get("client_id")
    if profile.registrations is not None and (registered := profile.registrations.load()):
        client_id = visible(registered.access_token)
    refreshable = profile.refresh_method(token) is not None
    state, refresh_at = _state(token, profile.freshness, refreshable=refreshable)
    return ProfileStatus(
        profile=profile.name,
        state=state,
        provider=provider.get("issuer")
        or provider.get("token_endpoint")
        or str(provider["command"][0]),
        resource=profile.resource,
        client_id=client_id,
        subject=None if token is None else _subject(token),
        scope=profile.scope
        if token is None or token.scope is None
        else tuple(map(visible, token.scope)),
        expires_at=token.expires_at if token is not None else None,
        refresh_at=refresh_at,
        refreshable=refreshable and token is not None,
        store=profile.table["store"]["kind"],
        remedy=profile.remedy() if state == "login needed" else "",
    )


def aws_status(session: SsoSession, name: str) -> ProfileStatus:
    """Return the status of a session of the AWS tools. This reads their cache, and sends nothing.

    Args:
        session: The session.
        name: Name that the user gave.
    """
    from grantway_plugins.aws._dialect import AWS_SSO_OIDC  # noqa: PLC0415 - only for AWS
    from grantway_plugins.aws._login.stored_client import can_refresh  # noqa: PLC0415

    try:
        token = session.store.load(session.key)
    except GrantwayError as error:
        return ProfileStatus(name, "broken", error=str(error))
    refreshable = token is not None and can_refresh(token)
    state, refresh_at = _state(token, AWS_SSO_OIDC.freshness, refreshable=refreshable)
    config = session.config
    login = f"run: {config.login_command}, or grantway login {config.option}"
    client_id = "" if token is None else token.extra.get("clientId", "")
    return ProfileStatus(
        profile=name,
        state=state,
        provider=session.provider.host,
        client_id=visible(client_id) or None,
        scope=config.scopes,
        expires_at=None if token is None else token.expires_at,
        refresh_at=refresh_at,
        refreshable=refreshable,
        store=f"{session.store.folder}",
        remedy=login if state == "login needed" else "",
    )


def _state(
    token: Token | None, freshness: Freshness, *, refreshable: bool
) -> tuple[State, float | None]:
    """Return the state of a login, and the Unix time from which its token is refreshed."""
    fresh, usable = (0.0, 0.0) if token is None else freshness.time_left(token)
    state: State = "login needed"
    if usable > 0:
        state = "fresh"
    elif refreshable:
        state = "refreshable" if token is not None else "on demand"
    if token is None or token.expires_at is None or not refreshable:
        return state, None
    return state, time.time() + max(0.0, fresh)


def _subject(token: Token) -> str | None:
    """Return the user named in the ID token, for display only: the token is not verified."""
    claims = unverified_claims(token.id_token or "")
    names = ("email", "preferred_username", "sub")
    found = next((claims[name] for name in names if isinstance(claims.get(name), str)), None)
    return printable(found) if found else None


def _time(seconds: float | None) -> str | None:
    try:
        return None if seconds is None else f"{datetime.fromtimestamp(seconds // 1, UTC):%FT%TZ}"
    except (OSError, OverflowError, ValueError):  # no valid date: stored by another program
        return None


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, like ``2 h 5 min``."""
    left = int(max(0.0, seconds))
    days, hours, minutes = left // 86_400, left // 3600 % 24, left // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left % 60} s" if minutes else f"{left} s"


def expires_in(token: Token) -> str:
    """Return the remaining lifetime of a token, as a phrase that follows its name."""
    left = remaining(token)
    return "has no expiry time" if left == float("inf") else f"expires in {duration(left)}"
