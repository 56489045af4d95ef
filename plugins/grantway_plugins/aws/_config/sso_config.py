"""Reads how to log in from ``~/.aws/config``, as the AWS tools do; botocore is not needed."""

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
from .settings import Settings, of_profile

_START_URL, _REGION = "sso_start_url", "sso_region"
_SCOPES = "sso_registration_scopes"


@dataclass(frozen=True, slots=True)
class SsoConfig:
    """How one login is configured.

    Attributes:
        name: The session's name, or None for a profile of the older kind, which has none.
        start_url: The address of the organization's portal; it names the login and is not asked.
        region: The region whose service is asked.
        scopes: What a client registers for; None where nothing is said.
        login_command: The AWS CLI's command that logs in.
        option: The option that names this login to grantway's commands.
        settings: What the profile says about endpoints.
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
        """The name of the login in the AWS tools' cache."""
        return self.start_url if self.name is None else self.name


def read_config(
    name: str | None = None,
    *,
    profile: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> SsoConfig:
    """Read a session, or the one that a profile names.

    Args:
        name: The NAME of a section ``[sso-session NAME]``.
        profile: A profile with ``sso_session``, or with ``sso_start_url`` and ``sso_region`` of
            its own, as older files have it. Without either, ``AWS_PROFILE``, then
            ``AWS_DEFAULT_PROFILE``, then ``default``.
        path: The file; by default the one that the AWS tools read.

    Raises:
        ConfigurationError: the file, section or field that is missing or wrong, and its rule.
    """
    file = _File(
        config_path() if path is None else Path(expand(path, "config_file to an absolute path"))
    )
    if name is not None and profile is not None:
        raise ConfigurationError(
            "name, profile: give one of them; a profile names its session itself."
        )
    env = os.environ.get
    # The AWS CLI takes endpoints from the profile, for a session that is named too.
    profile = profile or env("AWS_PROFILE") or env("AWS_DEFAULT_PROFILE") or "default"
    found = file.profile(profile) if name is None else file.session(name)
    return replace(found, settings=file.settings(profile))


class _File:
    """The sections of a file that a login can stand in."""

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
                        where, field, f"is another than in [sso-session {session}]; leave it out"
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
        return of_profile(self._sections, profile, {})

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
            f"{self._path}: there is no section {where}; {listed}. `aws configure sso` writes one."
        )


def _scopes(text: str | None) -> tuple[str, ...] | None:
    """The scopes of a list with commas; the AWS CLI names a registration's file after them."""
    if text is None:
        return None
    return tuple(scope for part in text.split(",") if (scope := part.strip()))
