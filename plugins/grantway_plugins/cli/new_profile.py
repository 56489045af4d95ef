"""Making a profile for a provider's address: what it publishes decides what must be asked."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import click

from grantway._exceptions import ConfigurationError, ResponseInvalidError
from grantway._requests.provider import Provider
from grantway_plugins._config.toml_file import dotted
from grantway_plugins.profiles import ProfileFile
from grantway_plugins.profiles._paths import config_path
from grantway_plugins.profiles._profile import Profile
from grantway_plugins.profiles._writing import add, draft

from .terminal import Terminal

_WELL_KNOWN = re.compile(r"/\.well-known/(openid-configuration|oauth-authorization-server)$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True)
class NewProfile:
    """A profile that is not in the file yet.

    Attributes:
        address: The provider's address; may be empty where the endpoints are given.
        config: The file, as ``--config`` names it.
        name: The profile's name; empty to name it after the host.
        settings: The other keys of the profile.
        endpoints: The provider's endpoints, where it publishes none.
    """

    address: str
    config: str | None = None
    name: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)

    def existing(self) -> str | None:
        """Return the profile of the file that has this provider and these settings, if any."""
        path = config_path(self.config)
        try:
            file = ProfileFile(path)
        except ConfigurationError:
            return None  # adding the profile reports the problem
        for name in file.names:
            try:
                table = file.table(name)
            except ConfigurationError:
                continue
            same = table["provider"].get("issuer") in self._issuers()
            if same and all(_same(table.get(key), each) for key, each in self.settings.items()):
                return name
        return None

    def save(self, terminal: Terminal, *, ask: bool) -> str:
        """Ask the provider for its endpoints, and add the profile to the file.

        Args:
            terminal: Where questions and the result are shown.
            ask: Whether a person is there to answer.

        Returns:
            The profile's name.

        Raises:
            ConfigurationError: a setting is wrong, or the file cannot be extended.
            TransportError: the provider gave no usable answer.
            click.ClickException: the provider needs a ``client_id``, and none was given.
        """
        self.name = self.name or self._free_name()
        if not _NAME.fullmatch(self.name):
            raise click.UsageError("--name: use letters, digits, dots, _ and -.")
        provider = self._check()
        if "client_id" not in self.settings and provider.registration_endpoint is None:
            redirect = self.settings.get("redirect_uri", "http://127.0.0.1/callback")
            if not ask:
                raise click.ClickException(
                    f"{provider.host} does not let clients register themselves. Register one there "
                    f"with the redirect URI {redirect}, then add its id: --client-id ID"
                )
            terminal.line(
                f"{provider.host} does not let clients register themselves. Register one there "
                f"with the redirect URI {redirect}."
            )
            self.settings["client_id"] = click.prompt("Its client id").strip()
            self._check()
        path = add(self.name, self._table(), self.config)
        terminal.line(f"Added the profile {self.name} to {path}.")
        return self.name

    def _check(self) -> Provider:
        """Check the profile as if it were in the file, and return its provider."""
        first: ResponseInvalidError | None = None
        for issuer in self._issuers():
            self.address = issuer
            try:
                with Profile(draft(self.name, self._table(), self.config), self.name) as profile:
                    _ = profile.store
                    return profile.provider
            except ConfigurationError as error:
                problems = self._by_option(error)
                if not problems:
                    raise
            except ResponseInvalidError as error:
                first = first or error
                continue
            raise click.ClickException(problems)
        raise click.ClickException(
            f"{first} If the provider publishes no endpoints, give them: grantway init "
            "--token-endpoint ADDRESS --authorization-endpoint ADDRESS --client-id ID"
        )

    def _issuers(self) -> list[str]:
        """Return the issuer that the address may mean; some end in a slash, and some do not."""
        address = _WELL_KNOWN.sub("", self.address.strip())
        if "token_endpoint" in self.endpoints:
            return [address]
        other = address[:-1] if address.endswith("/") else f"{address}/"
        return [address, other]

    def _table(self) -> dict[str, Any]:
        dialect = self.settings.get("dialect")
        provider: Any = self.address
        if self.endpoints or dialect:
            provider = {"issuer": self.address} if self.address else {}
            provider |= self.endpoints
            if dialect:
                provider["dialect"] = dialect
        rest = {name: value for name, value in self.settings.items() if name != "dialect"}
        return {"provider": provider, **rest}

    def _by_option(self, error: ConfigurationError) -> str:
        """Name the options that were given, not the lines of a file that was not written."""
        place = f"{dotted(('profiles', self.name))}."
        found = [
            (name.removeprefix(place), rule)
            for name, rules in error.errors.items()
            for rule in rules
            if name.startswith(place)
        ]
        return "\n".join(f"{_option(name)} {rule}" for name, rule in found)

    def _free_name(self) -> str:
        """Name the profile after the provider's host, and number further ones."""
        try:
            address = self.address or self.endpoints["token_endpoint"]
            host = urlsplit(address).netloc.rpartition("@")[2]
        except ValueError:
            host = ""
        base = _NOT_IN_NAMES.sub("-", host).strip("-._") or "login"
        try:
            taken = ProfileFile(config_path(self.config)).names
        except ConfigurationError:
            taken = []
        names = (base, *(f"{base}-{number}" for number in range(2, len(taken) + 3)))
        return next(name for name in names if name not in taken)


def _same(there: object, wanted: object) -> bool:
    return (list(there) if isinstance(there, tuple) else there) == wanted


def _option(key: str) -> str:
    """Return what sets a key of the profile."""
    if key in {"provider", "provider.issuer"}:
        return "ADDRESS"
    if key.startswith("params."):
        return f"--param {key.removeprefix('params.')}"
    return f"--{key.removeprefix('provider.').replace('_', '-')}"


def person_is_there() -> bool:
    """Return whether a person can answer a question."""
    return sys.stdin.isatty()
