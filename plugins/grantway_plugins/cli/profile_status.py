"""How a profile stands: logged in or not, as whom, until when. Holds no secret."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from grantway._exceptions import GrantwayError
from grantway._secrets.redaction import printable, visible
from grantway._types.freshness import remaining
from grantway_plugins.profiles._profile import Profile

if TYPE_CHECKING:
    from grantway._types.freshness import Freshness
    from grantway._types.token import Token
    from grantway_plugins.aws._login.session import SsoSession
    from grantway_plugins.profiles._file import ProfileFile

#: ``fresh``: a token is there. ``renewable``: it has ended, and the next use renews it.
#: ``on demand``: none is there, and the next use asks for one. ``broken``: see the error.
State = Literal["fresh", "renewable", "on demand", "login needed", "broken"]


@dataclass(frozen=True, slots=True)
class ProfileStatus:
    """What ``grantway status`` shows of one profile.

    Attributes:
        profile: Its name.
        state: Whether a token is there, or how one would be had.
        provider: Whom it asks.
        client_id: As whom the program asks; None before it has registered.
        subject: Who logged in, where an ID token says so (which is not verified here).
        scope: What was granted, or else what is asked for.
        expires_at: Unix time at which the token ends; None where it never said.
        renews_at: Unix time from which the next use renews it.
        refreshable: Whether it can be renewed without a person.
        store: The kind of store in which it rests.
        remedy: How a person gets a token, if a login is needed.
        error: What is wrong with the profile.
    """

    profile: str
    state: State
    provider: str = ""
    client_id: str | None = None
    subject: str | None = None
    scope: tuple[str, ...] | None = None
    expires_at: float | None = None
    renews_at: float | None = None
    refreshable: bool = False
    store: str = ""
    remedy: str = ""
    error: str = ""

    @property
    def logged_in(self) -> bool:
        """Whether a token can be had without a person."""
        return self.state in {"fresh", "renewable", "on demand"}

    def as_json(self) -> dict[str, Any]:
        """The standing as ``--json`` prints it."""
        return {
            "profile": self.profile,
            "logged_in": self.logged_in,
            "state": self.state,
            "provider": self.provider,
            "client_id": self.client_id,
            "subject": self.subject,
            "scope": None if self.scope is None else list(self.scope),
            "expires_at": _time(self.expires_at),
            "renews_at": _time(self.renews_at),
            "refreshable": self.refreshable,
            "store": self.store,
            "remedy": self.remedy or None,
            "error": self.error or None,
        }


def standing(file: ProfileFile, name: str) -> ProfileStatus:
    """How one profile stands. Only its store is asked; a mistake in it is told in ``error``.

    Args:
        file: The file of the profiles.
        name: Which.
    """
    try:
        with Profile(file, name) as profile:
            return of(profile, profile.store.load(profile.key))
    except GrantwayError as error:
        return ProfileStatus(name, "broken", error=str(error))
    except Exception as error:  # noqa: BLE001 - a stranger's store keeps from no other profile
        problem = f"its store has a defect and raised {type(error).__name__}; see grantway plugins"
        return ProfileStatus(name, "broken", error=problem)


def of(profile: Profile, token: Token | None) -> ProfileStatus:
    """How a profile stands with this token in its store."""
    provider = profile.table["provider"]
    client_id = profile.table.get("client_id")
    if profile.registrations is not None and (registered := profile.registrations.load()):
        client_id = visible(registered.access_token)
    renewable = profile.renewal(token) is not None
    state, renews_at = _state(token, profile.freshness, renewable=renewable)
    return ProfileStatus(
        profile=profile.name,
        state=state,
        provider=provider.get("issuer") or provider["token_endpoint"],
        client_id=client_id,
        subject=None if token is None else _subject(token),
        scope=profile.scope
        if token is None or token.scope is None
        else tuple(map(visible, token.scope)),
        expires_at=token.expires_at if token is not None else None,
        renews_at=renews_at,
        refreshable=renewable and token is not None,
        store=profile.table["store"]["kind"],
        remedy=profile.remedy() if state == "login needed" else "",
    )


def of_aws(session: SsoSession, name: str) -> ProfileStatus:
    """How a login of the AWS tools stands. Only their cache is asked.

    Args:
        session: The login.
        name: What the person calls it.
    """
    from grantway_plugins.aws._dialect import AWS_SSO_OIDC  # noqa: PLC0415 - AWS's alone
    from grantway_plugins.aws._login.stored_client import can_refresh  # noqa: PLC0415

    try:
        token = session.store.load(session.key)
    except GrantwayError as error:
        return ProfileStatus(name, "broken", error=str(error))
    renewable = token is not None and can_refresh(token)
    state, renews_at = _state(token, AWS_SSO_OIDC.freshness, renewable=renewable)
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
        renews_at=renews_at,
        refreshable=renewable,
        store=f"{session.store.folder}",
        remedy=login if state == "login needed" else "",
    )


def _state(
    token: Token | None, freshness: Freshness, *, renewable: bool
) -> tuple[State, float | None]:
    """The state of a login, and when its token will be renewed."""
    ends_soon, usable = (0.0, 0.0) if token is None else freshness.time_left(token)
    state: State = "login needed"
    if usable > 0:
        state = "fresh"
    elif renewable:
        state = "renewable" if token is not None else "on demand"
    if token is None or token.expires_at is None or not renewable:
        return state, None
    return state, time.time() + max(0.0, ends_soon)


def _subject(token: Token) -> str | None:
    """Who an ID token says that logged in; only for people to read, so it is not verified."""
    try:
        payload = (token.id_token or "").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return None
    names = ("email", "preferred_username", "sub") if isinstance(claims, dict) else ()
    found = next((claims[name] for name in names if isinstance(claims.get(name), str)), None)
    return printable(found) if found else None


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds // 1, UTC):%FT%TZ}"


def span(seconds: float) -> str:
    """A time that a person reads at a glance, like ``2 h 5 min``."""
    left = int(max(0.0, seconds))
    days, hours, minutes = left // 86_400, left // 3600 % 24, left // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left % 60} s" if minutes else f"{left} s"


def ends_in(token: Token) -> str:
    """How long a token has left, in words."""
    left = remaining(token)
    return "does not say when it ends" if left == float("inf") else f"ends in {span(left)}"
