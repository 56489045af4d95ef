"""Reads how to log in from ``~/.aws/config``, as the AWS tools do; botocore is not needed."""

from __future__ import annotations

import configparser
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from grantway.exceptions import ConfigurationError
from grantway_plugins.paths import expand

from .endpoint import is_region

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
        login_command: The command line that logs in.
    """

    name: str | None
    start_url: str
    region: str
    scopes: tuple[str, ...] | None
    login_command: str

    @property
    def key(self) -> str:
        """The name of the login in the AWS tools' cache."""
        return self.start_url if self.name is None else self.name


def config_path() -> Path:
    """The file that the AWS tools read: ``AWS_CONFIG_FILE``, or ``~/.aws/config``."""
    named = os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
    return Path(expand(os.path.expandvars(named), "AWS_CONFIG_FILE"))


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
    if name is not None:
        if profile is not None:
            raise ConfigurationError(
                "name, profile: give one of them; a profile names its session itself."
            )
        return file.session(name)
    env = os.environ.get
    return file.profile(profile or env("AWS_PROFILE") or env("AWS_DEFAULT_PROFILE") or "default")


class _File:
    """The sections of a file that a login can stand in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sessions: dict[str, Mapping[str, str]] = {}
        self._profiles: dict[str, Mapping[str, str]] = {}
        parser = _parse(path)
        for section in parser.sections():
            values = dict(parser[section])
            if section == "default":
                self._profiles.setdefault(section, values)
                continue
            try:
                words = shlex.split(section)
            except ValueError:  # a quote that is never closed; the AWS tools pass over it too
                continue
            if len(words) == 2:  # noqa: PLR2004 - the kind and the name
                kinds = {"sso-session": self._sessions, "profile": self._profiles}
                kinds.get(words[0], {})[words[1]] = values

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
        )

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


def _parse(path: Path) -> configparser.RawConfigParser:
    """Read the file by the rules that botocore reads it by.

    The parser's own errors quote the line that is wrong, which may hold an access key of AWS; so
    they are retold by number.
    """
    parser = configparser.RawConfigParser()
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except FileNotFoundError:
        problem = (
            "there is no such file. `aws configure sso` writes it; AWS_CONFIG_FILE names another"
        )
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except configparser.DuplicateSectionError as error:
        problem = f"line {error.lineno}: section [{error.section}] stands there already"
    except configparser.DuplicateOptionError as error:
        problem = f"line {error.lineno}: {error.option} stands in [{error.section}] already"
    except configparser.MissingSectionHeaderError as error:
        problem = f"line {error.lineno}: stands in no section; begin one with [sso-session NAME]"
    except configparser.ParsingError as error:
        lines = ", ".join(str(number) for number, _ in error.errors)
        problem = f"line {lines}: is neither a [section] nor name = value"
    else:
        return parser
    raise ConfigurationError(f"{path}: {problem}.")


def _scopes(text: str | None) -> tuple[str, ...] | None:
    """The scopes of a list with commas; the AWS CLI names a registration's file after them."""
    if text is None:
        return None
    return tuple(scope for part in text.split(",") if (scope := part.strip()))
