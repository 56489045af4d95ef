"""The next token of a profile: refreshed, requested with its grant, or only by a login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from grantway._exceptions import (
    GrantwayError,
    InvalidClientException,
    LoginNeededError,
    UnauthorizedClientException,
)
from grantway._types.token import Token

if TYPE_CHECKING:
    from ._profile import Profile


class Renewal:
    """Gets the next token of a profile.

    Args:
        profile: The profile.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def token(self) -> Token:
        """See ``Profile.token``."""
        profile = self._profile
        stored = profile.store.load(profile.key)
        fresh, usable = (0.0, 0.0) if stored is None else profile.freshness.time_left(stored)
        if stored is not None and fresh > 0:
            return stored
        if self.method(stored) is None:
            if stored is not None and usable > 0:
                return stored
            raise self._login_needed(None)
        try:
            if stored is not None and stored.refresh_token:
                # A refresh token may work only once, so its successor must be storable.
                profile.check_store_writable()
            token = (credential := profile.credential()).token()
            # The first call loads the stored token. The second starts the refresh.
            return token if profile.freshness.time_left(token)[0] > 0 else credential.token()
        except LoginNeededError as error:
            refusal = error
        except (InvalidClientException, UnauthorizedClientException) as error:
            if profile.registrations is None:
                raise
            refusal = LoginNeededError(str(error), evidence=error.evidence)
            refusal.__cause__ = error
        except GrantwayError:
            if stored is not None and usable > 0:
                return stored
            raise
        raise self._login_needed(refusal) from refusal

    def method(self, stored: Token | None) -> Literal["refresh", "grant"] | None:
        """See ``Profile.refresh_method``."""
        profile = self._profile
        if stored is not None and stored.refresh_token:
            registrations = profile.registrations
            unregistered = registrations is not None and registrations.load() is None
            return None if unregistered else "refresh"
        if profile.grant is None:
            return None
        given = self._single_use & profile.table.get("params", {}).keys()
        if not self._single_use or (given and stored is None):
            return "grant"
        return None

    @property
    def _single_use(self) -> frozenset[str]:
        """Parameters of the grant that can be used only once."""
        profile = self._profile
        if profile.grant is None:
            return frozenset()
        grant = profile.programs.registered(profile.grant)
        names = frozenset[str]() if grant is None else grant.single_use
        return names or frozenset({profile.grant} if profile.grant == "refresh_token" else ())

    def remedy(self) -> str:
        """See ``Profile.remedy``."""
        profile = self._profile
        login = f"run: {profile.command('login')}"
        if profile.grant is None:
            return login
        given = self._single_use & profile.table.get("params", {}).keys()
        names = " and ".join(f"params.{name}" for name in sorted(given or self._single_use))
        where = profile.file.toml.place(("profiles", profile.name, "params"))
        if given:
            return f"{names} can be used only once, so put a new value into {where}, then {login}"
        return f"{names} is missing, so add it in {where}, then {login}"

    def _login_needed(self, error: LoginNeededError | None) -> LoginNeededError:
        profile = self._profile
        cause = None if error is None else error.__cause__
        if profile.programs.provider is not None and error is not None:
            # The program says how to log in.
            return LoginNeededError(f"Profile {profile.name}: {error}", evidence=error.evidence)
        reason = f" ({cause})" if cause is not None else ""
        return LoginNeededError(
            f"Profile {profile.name} needs a login{reason}; {self.remedy()}",
            evidence=None if error is None else error.evidence,
        )
