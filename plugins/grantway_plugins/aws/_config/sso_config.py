"""Read SSO sessions and profiles from ``~/.aws/config``, as the AWS tools do."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError
from grantway_plugins._paths import expand

from .config_file import config_path, read_sections
from .endpoint import is_region
from .settings import Settings, profile_settings

_START_URL, _REGION = "sso_start_url", "sso_region"
_SCOPES = "sso_registration_scopes"


@dataclass(frozen=True, slots=True)
class SsoConfig:
    """The configuration of one login.

    Attributes:
        name: Name of the session, or None for a legacy profile without a session.
        start_url: Address of the organization's access portal; identifies the login.
        region: AWS region of the service.
        scopes: Scopes to register a client for; None if not configured.
        login_command: Command of the AWS CLI that logs in.
        option: Option that selects this login in grantway's commands.
        settings: Endpoint settings of the profile.
    """

    name: str | None
    start_url: str
    region: str
    scopes: tuple[str, ...] | None
    login_command: str
    option: str
    settings: Settings = field(default_factory=Settings, compare=False)

    @property
    def key(self) -> str:
        """Key of the login in the AWS tools' cache."""
        return self.start_url if self.name is None else self.name


def read_config(
    name: str | None = None,
    *,
    profile: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> SsoConfig:
    """Read a session by its name, or the session of a profile.

    Args:
        name: The NAME of a section ``[sso-session NAME]``.
        profile: Name of a profile with ``sso_session``, or of a legacy profile with
            ``sso_start_url`` and ``sso_region``. Without ``name`` and ``profile``, the profile is
            ``AWS_PROFILE``, ``AWS_DEFAULT_PROFILE`` or ``default``.
        path: Path of the file; by default the one that the AWS tools read.

    Raises:
        ConfigurationError: The file, section or a field is missing or invalid; names it.
    """
    file = _File(
        config_path() if path is None else Path(expand(path, "config_file to an absolute path"))
    )
    if name is not None and profile is not None:
        raise ConfigurationError(
            "name, profile: give only one of them; a profile names its own session."
        )
    env = os.environ.get
    # Like the AWS CLI, use the endpoints of the profile even if a session is named.
    profile = profile or env("AWS_PROFILE") or env("AWS_DEFAULT_PROFILE") or "default"
    found = file.profile(profile) if name is None else file.session(name)
    return replace(found, settings=file.settings(profile))


class _File:
    """The sections of a file that configure logins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sections = read_sections(path)
        self._sessions = self._sections.sessions
        self._profiles = self._sections.profiles

    def session(self, name: str) -> SsoConfig:
        where = f"[sso-session {name}]"
        if name not in self._sessions:
            raise self._missing(where, "sessions", self._sessions)
        values = self._sessions[name]
        return SsoConfig(
            name=name,
            start_url=self._start_url(where, values),
            region=self._region(where, values),
            scopes=_scopes(values.get(_SCOPES)),
            login_command=f"aws sso login --sso-session {shlex.quote(name)}",
            option=f"--sso-session {shlex.quote(name)}",
        )

    def profile(self, name: str) -> SsoConfig:
        where = "[default]" if name == "default" else f"[profile {name}]"
        if name not in self._profiles:
            raise self._missing(where, "profiles", self._profiles)
        values = self._profiles[name]
        if session := values.get("sso_session"):
            found = self.session(session)
            for field, meant in ((_START_URL, found.start_url), (_REGION, found.region)):
                if values.get(field, meant) != meant:
                    raise self._wrong(
                        where, field, f"differs from [sso-session {session}]; remove it"
                    )
            return found
        if _START_URL not in values:
            raise self._wrong(
                where, "sso_session", "is missing: name a section [sso-session NAME] of this file"
            )
        return SsoConfig(
            name=None,
            start_url=self._start_url(where, values),
            region=self._region(where, values),
            scopes=None,
            login_command=f"aws sso login --profile {shlex.quote(name)}",
            option=f"--sso-profile {shlex.quote(name)}",
        )

    def settings(self, profile: str) -> Settings:
        return profile_settings(self._sections, profile, {})

    def _start_url(self, where: str, values: Mapping[str, str]) -> str:
        url = self._present(where, _START_URL, values)
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("https", "http") or not parts.netloc:
            raise self._wrong(
                where, _START_URL, "must be an address, like https://example.awsapps.com/start"
            )
        return url

    def _region(self, where: str, values: Mapping[str, str]) -> str:
        region = self._present(where, _REGION, values)
        if not is_region(region):
            raise self._wrong(where, _REGION, "must be an AWS region, like eu-west-1")
        return region

    def _present(self, where: str, field: str, values: Mapping[str, str]) -> str:
        if not values.get(field):
            raise self._wrong(where, field, "is missing")
        return values[field]

    def _wrong(self, where: str, field: str, rule: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path}: {where}: {field} {rule}.", errors={field: [rule]})

    def _missing(self, where: str, kind: str, there: Mapping[str, object]) -> ConfigurationError:
        listed = f"it has the {kind} {', '.join(sorted(there))}" if there else f"it has no {kind}"
        return ConfigurationError(
            f"{self._path}: no section {where}; {listed}. To add one, run: aws configure sso"
        )


def _scopes(text: str | None) -> tuple[str, ...] | None:
    """Return the scopes of a comma-separated list. They determine a registration's file name."""
    if text is None:
        return None
    return tuple(scope for part in text.split(",") if (scope := part.strip()))
