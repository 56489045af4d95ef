"""The client registration endpoints: RFC 7591 and RegisterClient."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from marshmallow import Schema, ValidationError

from grantway_grants.authorization_code import GRANT_TYPE as AUTHORIZATION_CODE
from grantway_plugins.issuer._clients.certificate_metadata import (
    BOUND,
    METHODS as CERTIFICATE_METHODS,
    certificate_members,
)
from grantway_plugins.issuer._clients.key_metadata import PRIVATE_KEY_JWT, key_members
from grantway_plugins.issuer._decisions.confirmation import DPOP_BOUND
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.openid import ID_TOKEN_ALG, id_token_metadata
from grantway_plugins.issuer._decisions.pushed_requests import REQUIRED as PUSH_REQUIRED
from grantway_plugins.issuer._decisions.randomness import digest, new_id, new_secret
from grantway_plugins.issuer._decisions.registration_policy import Terms
from grantway_plugins.issuer._plugin import STANDARD
from grantway_plugins.issuer._storage.records import Authentication, RegisteredClient
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.issuer._storage.unit_of_work import UnitOfWork
from grantway_plugins.issuer._trust.trusted_token import FEDERATED
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.parameters import error_description
from grantway_plugins.server._http.wire import WireFormat, WireResponse, json_response

from .registration_schemas import ClientMetadataSchema, RegisterClientSchema
from .signed_introspection import algorithm_members

_REGISTER_CLIENT = RegisterClientSchema()
_CLIENT_METADATA = ClientMetadataSchema()

#: Path of the client configuration endpoint.
CONFIGURATION = "/register/client"
#: Addresses to which a logout may return (OpenID Connect RP-Initiated Logout section 3.1).
POST_LOGOUT = "post_logout_redirect_uris"
#: Maximum size of a client's metadata, in bytes.
MAX_METADATA_BYTES = 8192
#: Metadata that turns a requirement on (RFC 9126 section 6, RFC 9449 section 5.2).
FLAGS = (BOUND, DPOP_BOUND, PUSH_REQUIRED)
#: Authentication methods without a secret.
_WITHOUT_SECRET = CERTIFICATE_METHODS | {"none", FEDERATED, PRIVATE_KEY_JWT}
_FULL = Denial(
    "temporarily_unavailable",
    "The issuer has reached its limit of registrations; ask its operator for a client",
)


def register_client(issuer: Issuer, members: Mapping[str, Any], terms: Terms) -> UnitOfWork:
    """Validate a RegisterClient request and return the unit of work for the database.

    AWS's clients are public, but authenticate with a secret.

    Raises:
        DenialError: a parameter is invalid or exceeds the terms.
    """
    loaded = _load(_REGISTER_CLIENT, members, "invalid_request")
    # The same default as AWS; other grants must be requested.
    requested = loaded.get("grant_types") or sorted(_offered(issuer, terms) & set(STANDARD))
    grant_types = _grant_types(issuer, requested, terms, "unsupported_grant_type")
    if AUTHORIZATION_CODE in (loaded.get("grant_types") or ()) and not loaded.get("redirect_uris"):
        raise DenialError("invalid_redirect_uri", "redirectUris is required for authorization_code")
    secret = new_secret("gws")
    now = issuer.clock()
    client = RegisteredClient(
        client_id=new_id(),
        name=loaded["client_name"],
        kind="aws",
        authentication=Authentication("client_secret_post", digest(secret)),
        grant_types=grant_types,
        scope=_scopes(issuer, loaded.get("scopes"), terms, "invalid_scope"),
        redirect_uris=tuple(loaded.get("redirect_uris") or ()),
        issued_at=now,
        expires_at=now + issuer.settings.lifetimes.registration,
        anonymous=terms.anonymous,
        introspects=terms.introspects,
    )
    _check_size(client)

    def work(transaction: Transaction) -> WireResponse | Denial:
        if client.anonymous and not transaction.clients.make_room(
            issuer.settings.registration_limit
        ):
            return _FULL
        transaction.clients.add(client)
        url = issuer.settings.url
        content = {
            "clientId": client.client_id,
            "clientSecret": secret,
            "clientIdIssuedAt": int(client.issued_at),
            "clientSecretExpiresAt": int(client.expires_at),
            "authorizationEndpoint": f"{url}/authorize",
            "tokenEndpoint": f"{url}/token",
        }
        return json_response(200, content, WireFormat.AWS, event=registration_event(client))

    return work


def register(issuer: Issuer, members: Mapping[str, Any], terms: Terms) -> UnitOfWork:
    """Validate an RFC 7591 registration and return the unit of work for the database.

    Raises:
        DenialError: a parameter is invalid or exceeds the terms.
    """
    expires_at = issuer.clock() + issuer.settings.lifetimes.registration
    client, secret = new_client(issuer, members, terms, expires_at)
    token = new_secret("gwm")
    client = replace(client, registration_token_digest=digest(token))
    content = {
        **client_information(client, secret),
        "registration_access_token": token,
        "registration_client_uri": configuration_uri(issuer.settings.url, client.client_id),
    }

    def work(transaction: Transaction) -> WireResponse | Denial:
        if client.anonymous and not transaction.clients.make_room(
            issuer.settings.registration_limit
        ):
            return _FULL
        transaction.clients.add(client)
        return json_response(201, content, event=registration_event(client))

    return work


def configuration_uri(url: str, client_id: str) -> str:
    """Return the ``registration_client_uri`` of a client (RFC 7592 section 3)."""
    return f"{url}{CONFIGURATION}?client_id={client_id}"


def registration_event(client: RegisteredClient) -> AuditEvent:
    """Return the audit event for a new client."""
    return AuditEvent(
        "registration",
        client_id=client.client_id,
        client_name=client.name,
        scope=" ".join(client.scope),
    )


def new_client(
    issuer: Issuer, members: Mapping[str, Any], terms: Terms, expires_at: float
) -> tuple[RegisteredClient, str | None]:
    """Return a new client for its metadata (RFC 7591 section 2), and its secret or None.

    Raises:
        DenialError: the metadata is invalid or exceeds the terms.
    """
    loaded = _load(_CLIENT_METADATA, members, "invalid_client_metadata")
    requested = loaded.get("grant_types") or [AUTHORIZATION_CODE]
    grant_types = _grant_types(issuer, requested, terms, "invalid_client_metadata")
    if AUTHORIZATION_CODE in grant_types and not loaded.get("redirect_uris"):
        raise DenialError(
            "invalid_redirect_uri",
            "redirect_uris is required for authorization_code, which is the default of grant_types",
        )
    method = loaded.get("token_endpoint_auth_method") or "client_secret_basic"
    if method == FEDERATED and terms.anonymous:
        raise DenialError(
            "invalid_client_metadata",
            f"{FEDERATED} is for clients of the operator; ask the issuer's operator for a client",
        )
    scope = _scopes(issuer, loaded.get("scope"), terms, "invalid_client_metadata")
    metadata = {
        **_auth_metadata(issuer, method, members),
        **id_token_metadata(issuer, loaded.get(ID_TOKEN_ALG), scope),
        **key_members(loaded, method, _private_hosts(issuer, terms)),
        **certificate_members(loaded, method),
        **algorithm_members(issuer, loaded),
        **{name: True for name in FLAGS if loaded.get(name)},
        **{name: loaded[name] for name in (POST_LOGOUT,) if loaded.get(name)},
    }
    without_secret = method in _WITHOUT_SECRET or method in issuer.client_auth
    secret = None if without_secret else new_secret("gws")
    client_id = new_id()
    client = RegisteredClient(
        client_id=client_id,
        name=loaded.get("client_name") or client_id,
        kind="rfc",
        authentication=Authentication(method, None if secret is None else digest(secret)),
        grant_types=grant_types,
        scope=scope,
        redirect_uris=tuple(loaded.get("redirect_uris") or ()),
        issued_at=issuer.clock(),
        expires_at=expires_at,
        anonymous=terms.anonymous,
        introspects=terms.introspects,
        metadata=metadata,
    )
    _check_size(client)
    return client, secret


def _auth_metadata(issuer: Issuer, method: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the client's metadata for the authentication method of a plugin.

    Raises:
        DenialError: the method is not supported, or a member is invalid.
    """
    if method not in issuer.auth_methods:
        listing = ", ".join(issuer.auth_methods)
        raise DenialError(
            "invalid_client_metadata", f"token_endpoint_auth_method: Must be one of: {listing}."
        )
    if method not in issuer.client_auth:
        return {}
    try:
        return issuer.client_auth[method].metadata(members)
    except ValidationError as invalid:
        messages = invalid.messages_dict
    raise DenialError("invalid_client_metadata", error_description(_sentence(messages)))


def _private_hosts(issuer: Issuer, terms: Terms) -> tuple[str, ...] | None:
    """Return the private hosts from which a client's keys may be read; None for all."""
    if not terms.anonymous:
        return None
    documents = issuer.settings.client_documents
    return () if documents is None else documents.private_hosts


def client_information(client: RegisteredClient, secret: str | None = None) -> dict[str, Any]:
    """Return the client information response (RFC 7591 section 3.2.1)."""
    content: dict[str, Any] = {
        **client.metadata,
        "client_id": client.client_id,
        "client_id_issued_at": int(client.issued_at),
        "client_name": client.name,
        "grant_types": sorted(client.grant_types),
        "redirect_uris": list(client.redirect_uris),
        "scope": " ".join(client.scope),
        "token_endpoint_auth_method": client.authentication.method,
    }
    if AUTHORIZATION_CODE in client.grant_types:
        content["response_types"] = ["code"]
    if secret is not None:
        content["client_secret"] = secret
        expires = math.isfinite(client.expires_at)
        content["client_secret_expires_at"] = int(client.expires_at) if expires else 0
    return content


def _load(schema: Schema, members: Mapping[str, Any], error: str) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", schema.load(members))
    except ValidationError as invalid:
        messages = invalid.messages_dict
    if any(name in messages for name in ("redirect_uris", "redirectUris")):
        error = "invalid_redirect_uri"
    elif "clientType" in messages and "clientType" in members:
        error = "invalid_client_metadata"
    elif any(name in messages for name in ("scopes",)):
        error = "invalid_scope"
    raise DenialError(error, _sentence(messages))


def _sentence(messages: Mapping[str, Any]) -> str:
    """Join marshmallow's messages on one line."""
    parts = []
    for name, rules in messages.items():
        while isinstance(rules, Mapping):
            rules = next(iter(rules.values()))  # noqa: PLW2901 - descend to the first message
        parts.append(f"{name}: {'; '.join(str(rule) for rule in rules)}")
    return " ".join(parts).replace('"', "'").replace("\\", "/")


def _offered(issuer: Issuer, terms: Terms) -> frozenset[str]:
    every = frozenset(issuer.grants)
    return every if terms.grant_types is None else every & terms.grant_types


def _grant_types(issuer: Issuer, requested: list[str], terms: Terms, error: str) -> frozenset[str]:
    offered = _offered(issuer, terms)
    excess = set(requested) - offered
    if not excess:
        return frozenset(requested)
    listing = ", ".join(sorted(offered))
    if excess <= set(issuer.grants):
        raise DenialError(
            error,
            f"Anonymous clients may register only for {listing}; ask the issuer's operator for a "
            "client",
        )
    raise DenialError(error, f"grant_types contains a value that is not one of {listing}")


def _scopes(
    issuer: Issuer, requested: tuple[str, ...] | None, terms: Terms, error: str
) -> tuple[str, ...]:
    allowed = terms.scopes
    if allowed is None:
        return requested or issuer.settings.default_scopes
    if not requested:
        default = tuple(each for each in issuer.settings.default_scopes if each in allowed)
        return default or allowed
    if set(requested) <= set(allowed):
        return requested
    raise DenialError(
        error,
        f"scope: anonymous clients may register only for {' '.join(allowed)}; ask the issuer's "
        "operator for a client",
    )


def _check_size(client: RegisteredClient) -> None:
    metadata = json.dumps(dict(client.metadata))
    names = (client.name, metadata, *client.scope, *client.grant_types, *client.redirect_uris)
    if sum(len(each.encode()) for each in names) > MAX_METADATA_BYTES:
        raise DenialError(
            "invalid_client_metadata",
            f"The metadata is larger than {MAX_METADATA_BYTES} bytes; register fewer or shorter "
            "redirect URIs and scopes",
        )
