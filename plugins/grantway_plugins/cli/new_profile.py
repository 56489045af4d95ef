"""Create a profile for a provider's address, using the metadata that the provider publishes."""

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
from grantway_plugins._paths import config_path
from grantway_plugins.profiles import ProfileFile
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
        address: Address of the provider; may be empty if ``endpoints`` is given.
        config: Path given with ``--config``, or None.
        name: Name of the profile; empty to name it after the provider's host.
        settings: Other keys of the profile.
        endpoints: Endpoints of a provider that publishes none.
    """

    address: str
    config: str | None = None
    name: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)

    def existing(self) -> str | None:
        """Return the name of a profile with this provider and these settings, or None."""
        path = config_path(self.config)
        try:
            file = ProfileFile(path)
        except ConfigurationError:
            return None  # ``save`` reports the error
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
        """Read the provider's metadata, and add the profile to the file.

        Args:
            terminal: Terminal on which to print prompts and the result.
            ask: Whether to prompt for a missing ``client_id``.

        Returns:
            Name of the profile.

        Raises:
            ConfigurationError: A setting is invalid, or the profile cannot be added to the file.
            TransportError: The provider sent no usable response.
            click.ClickException: The provider needs a ``client_id``, and none was given.
        """
        self.name = self.name or self._free_name()
        if not _NAME.fullmatch(self.name):
            raise click.UsageError(
                "--name: use letters, digits, dots, _ and -, beginning with a letter or digit."
            )
        provider = self._check()
        if "client_id" not in self.settings and provider.registration_endpoint is None:
            redirect = self.settings.get("redirect_uri", "http://127.0.0.1/callback")
            if not ask:
                raise click.ClickException(
                    f"{provider.host} does not let clients register themselves. Register a client "
                    f"there with the redirect URI {redirect}, then give its ID with --client-id."
                )
            terminal.line(
                f"{provider.host} does not let clients register themselves. Register a client "
                f"there with the redirect URI {redirect}."
            )
            self.settings["client_id"] = click.prompt("Client ID").strip()
            self._check()
        path = add(self.name, self._table(), self.config)
        terminal.line(f"Added the profile {self.name} to {path}.")
        return self.name

    def _check(self) -> Provider:
        """Validate the profile as if it were in the file, and return its provider."""
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
            f"{first} If the provider does not publish its endpoints, run: grantway init "
            "--token-endpoint ADDRESS --authorization-endpoint ADDRESS --client-id ID"
        )

    def _issuers(self) -> list[str]:
        """Return the possible issuers for the address: as given, and with or without a slash."""
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
        """Return the error's rules with the options' names, because the file was not written."""
        prefix = f"{dotted(('profiles', self.name))}."
        return "\n".join(
            f"{_option(name.removeprefix(prefix))} {rule}"
            for name, rules in error.errors.items()
            for rule in rules
            if name.startswith(prefix)
        )

    def _free_name(self) -> str:
        """Return the provider's host, with a number if a profile of that name exists."""
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


def _same(existing: object, wanted: object) -> bool:
    return (list(existing) if isinstance(existing, tuple) else existing) == wanted


def _option(key: str) -> str:
    """Return the option or argument that sets a key of the profile."""
    if key in {"provider", "provider.issuer"}:
        return "ADDRESS"
    if key.startswith("params."):
        return f"--param {key.removeprefix('params.')}"
    return f"--{key.removeprefix('provider.').replace('_', '-')}"


def is_interactive() -> bool:
    """Return whether standard input is a terminal, so that the user can answer prompts."""
    return sys.stdin.isatty()
