"""The resource that verifies callers, from ``[inbound]`` of the gateway's file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from grantway._exceptions import ConfigurationError
from grantway._plugins.default_registry import default_registry
from grantway._requests.client import Client
from grantway._requests.client_assertion import assertion_auth
from grantway._requests.client_auth import named_auth
from grantway._requests.provider import Provider
from grantway._wire.dialect import RFC6749
from grantway_plugins._config.components import Components
from grantway_plugins._config.network import NetworkSettings
from grantway_plugins._config.toml_file import KeyPath
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._config.inbound_tables import issuer_options
from grantway_plugins.gateway.upstream._tenant import tenant_header
from grantway_plugins.resource import (
    AcceptedIssuer,
    CertificateHeader,
    ProtectedResource,
    SharedProofs,
    VerificationObserver,
)

_TIMEOUT = 10.0
#: Settings that are paths, which are relative to the folder of the file.
_PATHS = ("jwks_file", "ca_bundle")

Table = Mapping[str, Any]


def make_inbound(
    config: ConfigFile,
    table: Table,
    used_proofs: SharedProofs | None = None,
    observer: VerificationObserver | None = None,
) -> ProtectedResource:
    """Return the resource that verifies callers. Nothing is sent yet.

    Args:
        config: The file.
        table: Its table ``[inbound]``.
        used_proofs: Used DPoP proofs that worker processes share, or None.
        observer: Counts verifications, or None.

    Raises:
        ConfigurationError: A library or a setting is missing.
    """
    issuers = [
        _issuer(config, each, ("inbound", "issuer", str(number)))
        for number, each in enumerate(table["issuer"], 1)
    ]
    header = table.get("client_certificate_header")
    try:
        return ProtectedResource(
            table["resource"],
            issuers,
            certificates=header
            and CertificateHeader(
                header,
                tuple(config.gateway["trusted_proxies"]),
                authenticates=table["client_certificate_callers"],
            ),
            scopes=[name for route in config.routes.values() for name in route.get("scopes", ())],
            cache_seconds=table["cache_seconds"],
            cache_entries=table["cache_entries"],
            used_proofs=used_proofs,
            dpop_nonce_key=nonce_key(config, table),
            observer=observer,
        )
    except ModuleNotFoundError as missing:
        problem = str(missing)
    raise ConfigurationError(problem)


def nonce_key(config: ConfigFile, table: Table) -> bytes | None:
    """Return the secret with which nonces for DPoP proofs are computed, or None.

    Raises:
        ConfigurationError: Its source cannot be read.
    """
    if "dpop_nonce_key" not in table:
        return None
    at = ("inbound", "dpop_nonce_key")
    return config.components.read_secret(table["dpop_nonce_key"], at).encode()


def removed_headers(table: Table | None) -> tuple[str, ...]:
    """Return the headers with credentials of callers that upstream servers do not get."""
    header = None if table is None else table.get("client_certificate_header")
    return () if header is None else (header,)


def trusted_callers(config: ConfigFile) -> Iterator[str]:
    """Yield warnings about routes on which callers choose their tenant."""
    if config.inbound is None:
        listen = "{}:{}".format(*config.gateway["listen"])
        yield (
            f"Callers are trusted: everyone who can send requests to {listen} gets tokens. Add "
            "[inbound] to the file to verify them, unless a proxy in front does."
        )
        return
    for name, route in config.routes.items():
        if header := tenant_header(route["tenant"]):
            yield (
                f"The callers of the route {name} are trusted to name their tenant: a verified "
                f'caller gets the tokens of the tenant in {header}. Use tenant = "claim:NAME" '
                "unless a proxy in front sets the header."
            )


def _issuer(config: ConfigFile, table: Table, at: KeyPath) -> AcceptedIssuer:
    options = issuer_options(table)
    common: Sequence[str] = ("ca_bundle",) if "ca_bundle" in config.network else ()
    options = {**{name: config.network[name] for name in common}, **options}
    for name in _PATHS:
        if name in options:
            options[name] = str(config.components.path(options[name]))
    client = None
    if "introspection" in table:
        client = partial(_client, config, table, (*at, "introspection"))
    return AcceptedIssuer(**options, introspection=client)


def _client(config: ConfigFile, table: Table, at: KeyPath) -> Client:
    """Return the client that introspects tokens; reads the issuer's metadata if necessary."""
    asking: Table = table["introspection"]
    timeout = asking.get("timeout", _TIMEOUT)
    own = {"ca_bundle": table["ca_bundle"]} if "ca_bundle" in table else {}
    transport = NetworkSettings(config.components, own, at[:-1], config.network).transport(timeout)
    try:
        if "endpoint" in asking:
            endpoint = asking["endpoint"]
            provider = Provider(
                token_endpoint=endpoint,
                issuer=table["issuer"],
                metadata={"introspection_endpoint": endpoint},
            )
        else:
            provider = Provider.discover(table["issuer"], timeout=timeout, transport=transport)
            provider.endpoint("introspection")  # reports that it is missing
        return Client(
            provider,
            client_id=asking["client_id"],
            auth=_auth(config.components, asking, at),
            transport=transport,
            timeout=timeout,
        )
    except BaseException:
        transport.close()
        raise


def _auth(components: Components, table: Table, at: KeyPath) -> Any:
    given = components.client_secrets(table, at)
    if "client_assertion" in given:
        return assertion_auth(table["client_id"], **given)
    registry = default_registry()
    return named_auth(
        table.get("auth"),
        table["client_id"],
        given.get("client_secret"),
        RFC6749.request,
        more=registry.client_auth,
        owner=registry.client_auth_owner,
    )
