"""Create a profile for the address of a provider or of a protected resource.

An address with metadata of a protected resource (RFC 9728) is that of a resource. Any other one is
that of an issuer.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from grantway._exceptions import (
    ConfigurationError,
    ResourceMetadataError,
    ResponseInvalidError,
)
from grantway._requests.provider import Provider
from grantway._transport.http import require_secure
from grantway_plugins._config.toml_file import dotted
from grantway_plugins._paths import config_path
from grantway_plugins._provider_features import CLIENT_DOCUMENTS, reads_client_documents
from grantway_plugins.profiles import ProfileFile
from grantway_plugins.profiles._profile import Profile
from grantway_plugins.profiles._writing import add, draft
from grantway_plugins.registration import REDIRECT_URI

from .resource_address import provider_of
from .terminal import Terminal

_WELL_KNOWN = re.compile(r"/\.well-known/(openid-configuration|oauth-authorization-server)$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True)
class NewProfile:
    """A profile that is not in the file yet.

    Attributes:
        address: Address of the provider or of a protected resource; may be empty if ``endpoints``
            is given. ``find_resource`` replaces the address of a resource by that of its provider.
        config: Path given with ``--config``, or None.
        name: Name of the profile; empty to name it after the host of the address.
        settings: Other keys of the profile.
        endpoints: Endpoints of a provider that publishes none.
        issuer: The authorization server that the user chose for a protected resource, or None.
        resource: Address of the resource; empty for a provider.
    """

    address: str
    config: str | None = None
    name: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    issuer: str | None = None
    resource: str = ""
    _provider: Provider | None = field(default=None, init=False)
    _missing: ResourceMetadataError | None = field(default=None, init=False)

    def find_resource(self, terminal: Terminal) -> None:
        """Find out whether the address is that of a resource, and take the settings from it.

        No request is sent if there is a profile for an issuer at the address.

        Args:
            terminal: Terminal on which to print the provider of the resource.

        Raises:
            ResourceMetadataError: The metadata of the resource is invalid.
            GrantwayError: The address or the provider could not be reached, or is invalid.
            click.ClickException: The address has no metadata, and cannot be an issuer's.
        """
        self.address = self.address.strip()
        if not self._may_be_resource():
            return
        path = config_path(self.config)
        file = ProfileFile(path, None if Path(path).exists() else b"")
        known = [
            (resource, table["provider"].get("issuer", ""))
            for _, table in self._tables()
            for resource in table.get("resource", ())
        ]
        try:
            found = provider_of(self.address, file, issuer=self.issuer, known=known)
        except ResourceMetadataError as error:
            if self.issuer is not None or not error.missing:
                raise
            self._missing = error
            if urlsplit(self.address).query:  # no issuer has one (RFC 8414 section 2)
                raise click.ClickException(
                    f"{error.document} {error.rule}. Give its provider with --issuer."
                ) from None
        else:
            self._use(found, terminal)

    def existing(self) -> str | None:
        """Return the name of a profile with this provider, resource and settings, or None."""
        settings: dict[str, Any] = {"resource": None, **self.settings}
        if self.resource:  # a login can add to the scope of a profile
            settings.pop("scope", None)
        for name, table in self._tables():
            same = table["provider"].get("issuer") in self._issuers()
            if same and all(_same(table.get(key), each) for key, each in settings.items()):
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
            click.ClickException: The provider needs a ``client_id``, and none was given, or it
                does not support one that is a URL.
        """
        self.name = self.name or self._free_name()
        if not _NAME.fullmatch(self.name):
            raise click.UsageError(
                "--name: use letters, digits, dots, _ and -, beginning with a letter or digit."
            )
        provider = self._check()
        if "client_id" not in self.settings and provider.registration_endpoint is None:
            redirect = self.settings.get("redirect_uri", REDIRECT_URI)
            if not ask:
                documents = (
                    " It also accepts the URL of a Client ID Metadata Document."
                    if self.resource and reads_client_documents(provider)
                    else ""
                )
                raise click.ClickException(
                    f"{provider.host} does not let clients register themselves. Register a client "
                    f"there with the redirect URI {redirect}, then give its ID with --client-id."
                    f"{documents}"
                )
            terminal.line(
                f"{provider.host} does not let clients register themselves. Register a client "
                f"there with the redirect URI {redirect}."
            )
            self.settings["client_id"] = click.prompt("Client ID").strip()
            self._check()
        self._check_document(provider)
        path = add(self.name, self._table(), self.config)
        terminal.line(f"Added the profile {self.name} to {path}.")
        return self.name

    def _may_be_resource(self) -> bool:
        """Return whether to look for the metadata of a resource at the address."""
        if not self.address or self.endpoints or _WELL_KNOWN.search(self.address):
            return False
        if self.issuer is None and self.existing() is not None:
            return False
        try:
            require_secure(self.address, "ADDRESS")
        except ConfigurationError:
            return False  # ``save`` reports the error
        return True

    def _use(self, found: Provider, terminal: Terminal) -> None:
        """Take the settings from the provider of a resource, and print them."""
        issuer, resource = str(found.issuer), str(found.resource)
        terminal.line(f"{resource} gets its tokens from {issuer}.")
        for name, table in self._tables():
            before = table["provider"].get("issuer")
            if table.get("resource") == (resource,) and before not in (None, issuer):
                terminal.line(
                    f"The profile {name} has a login at {before} for it. That profile is not "
                    f"changed, and {issuer} does not receive its client or tokens."
                )
        self._provider, self.resource, self.address = found, self.address, issuer
        self.settings["resource"] = [resource]
        if found.scope:
            self.settings.setdefault("scope", list(found.scope))

    def _tables(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the name and the table of each valid profile."""
        try:
            file = ProfileFile(config_path(self.config))
        except ConfigurationError:
            return  # ``save`` reports the error
        for name in file.names:
            try:
                yield name, file.table(name)
            except ConfigurationError:
                continue

    def _check_document(self, provider: Provider) -> None:
        """Reject a client whose ID is a URL if the provider of a resource does not fetch it."""
        client_id = self.settings.get("client_id", "")
        is_url = client_id.startswith(("https://", "http://")) and self.resource
        if is_url and not reads_client_documents(provider):
            raise click.ClickException(
                f"--client-id {client_id} is the URL of a Client ID Metadata Document, which "
                f"{provider.issuer} does not support: its metadata has no {CLIENT_DOCUMENTS}. "
                "Register a client there and give its ID, or leave out --client-id if it lets "
                "clients register themselves."
            )

    def _check(self) -> Provider:
        """Validate the profile as if it were in the file, and return its provider."""
        first: ResponseInvalidError | None = None
        for issuer in self._issuers():
            self.address = issuer
            try:
                with Profile(draft(self.name, self._table(), self.config), self.name) as profile:
                    _ = profile.store
                    return self._provider or profile.provider
            except ConfigurationError as error:
                problems = self._by_option(error)
                if not problems:
                    raise
            except ResponseInvalidError as error:
                first = first or error
                continue
            raise click.ClickException(problems)
        about, advice = "", ""
        if self._missing is not None:
            about = f"{self._missing.document} {self._missing.rule}. "
            advice = "If it is a resource, give its provider with --issuer. "
        raise click.ClickException(
            f"{about}{first} {advice}If the provider does not publish its endpoints, run: "
            "grantway init --token-endpoint ADDRESS --authorization-endpoint ADDRESS --client-id ID"
        )

    def _issuers(self) -> list[str]:
        """Return the possible issuers for the address: as given, and with or without a slash."""
        address = _WELL_KNOWN.sub("", self.address.strip())
        if "token_endpoint" in self.endpoints or self.resource:
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
        """Return the host of the address, with a number if a profile of that name exists."""
        try:
            address = self.resource or self.address or self.endpoints["token_endpoint"]
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
