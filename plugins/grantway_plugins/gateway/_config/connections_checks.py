"""Checks of ``[connections]`` that need other tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from grantway._exceptions import ConfigurationError
from grantway_plugins._config.toml_file import KeyPath, Mistake, mistakes_of, nearest
from grantway_plugins.gateway.upstream._paths import normal_path
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError

from .connections_tables import CONNECTION

if TYPE_CHECKING:
    from .config_file import ConfigFile

Table = Mapping[str, Any]
#: Stores with which several records of connections can be kept.
STORES = ("memory", "redis", "sql")
_AT: KeyPath = ("connections",)
_PROVIDERS = (*_AT, "providers")


class ConnectionsChecks:
    """The checks of ``[connections]``, and of the routes that use connections.

    Args:
        config: The file.
    """

    def __init__(self, config: ConfigFile) -> None:
        self._config = config

    def run(self) -> Iterator[Iterator[Mistake]]:
        """Yield checks one by one, so that an invalid key stops only the check that reads it."""
        table = self._config.connections
        if table is None:
            return
        yield self._callers(table)
        yield self._store()
        yield self._key()
        yield self._secrets(table)
        yield self._path(table)
        for name, each in self._config.connection_providers.items():
            yield self._provider(name, each)

    def route(self, at: KeyPath, table: Table) -> Iterator[Mistake]:
        """Check a route that uses the connections of its users."""
        if table.get("grant") != CONNECTION:
            return
        if self._config.connections is None:
            yield (*at, "grant"), "needs a table [connections], with which users connect accounts"
        elif (name := table["provider"]) not in self._config.providers:
            return  # another check reports it
        elif name not in (known := self._config.connection_providers):
            rule = f"has no table [connections.providers.{name}]; add it"
            if known:
                rule += f", or use another provider ({', '.join(sorted(known))})"
            yield (*at, "provider"), rule

    def _callers(self, table: Table) -> Iterator[Mistake]:
        inbound = self._config.inbound
        if inbound is None:
            yield _AT, "needs a table [inbound], which identifies the users by verified tokens"
            return
        issuers = [each["issuer"] for each in inbound["issuer"]]
        if "login" in table and table["login"]["issuer"] not in issuers:
            rule = (
                "must be the issuer of a table [[inbound.issuer]], so that logins and access "
                f"tokens name the same users; {nearest(table['login']['issuer'], issuers)}"
            )
            yield (*_AT, "login", "issuer"), rule

    def _store(self) -> Iterator[Mistake]:
        table = self._config.gateway["store"]
        while table["kind"] == "encrypted" and isinstance(table.get("inner"), Mapping):
            table = table["inner"]
        kind = table["kind"]
        if kind not in STORES:
            rule = (
                f"cannot be {kind} with [connections], which needs a store that gateways share: "
                "sql or redis (or memory for tests)"
            )
            yield ("gateway", "store", "kind"), rule

    def _key(self) -> Iterator[Mistake]:
        try:
            self._config.connection_keys()
        except ConfigurationError as error:
            yield from mistakes_of(error)

    def _secrets(self, table: Table) -> Iterator[Mistake]:
        for name, key in (("login", "client_secret"), ("webhook", "secret")):
            if key in (inner := table.get(name) or {}):
                at = (*_AT, name, key)
                try:
                    self._config.components.read_secret(inner[key], at)
                except ConfigurationError as error:
                    yield from mistakes_of(error)

    def _path(self, table: Table) -> Iterator[Mistake]:
        at = (*_AT, "path")
        try:
            path = normal_path(table["path"])
        except RequestRejectedError as error:
            yield at, f"cannot be matched: {error.message}"
            return
        if path != table["path"]:
            yield at, f"must be written as {path}"
        endpoint = self._config.token_endpoint
        if endpoint is not None and _overlap(endpoint["path"], path):
            yield at, "is also the path of the token endpoint; change one"
        for name, route in self._config.routes.items():
            if _below(route["path"], path):
                line = self._config.toml.line(("routes", name))
                yield at, f"contains the path of the route {name} in line {line}; change one"

    def _provider(self, name: str, table: Table) -> Iterator[Mistake]:
        at = (*_PROVIDERS, name)
        if name in {"-", ".", ".."}:
            yield at, "cannot have this name, which is special in paths; rename the provider"
        if name not in (known := self._config.providers):
            yield at, f"is not a provider in this file; {nearest(name, known)}"
        elif "token_command" in known[name]:
            yield at, "cannot be connected: its tokens come from a program (token_command)"
        for key in table.get("extra") or {}:
            if key in _OWN:
                yield (*at, "extra", key), "is set by the login; remove it"


#: Parameters that the login sets.
_OWN = frozenset(
    {
        "client_id",
        "client_secret",
        "code",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "grant_type",
        "redirect_uri",
        "resource",
        "response_mode",
        "response_type",
        "scope",
        "state",
    }
)


def _below(path: str, prefix: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{prefix}/")


def _overlap(one: str, other: str) -> bool:
    return _below(one, other) or _below(other, one)
