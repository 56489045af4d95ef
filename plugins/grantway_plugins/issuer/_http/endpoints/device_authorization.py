"""The device authorization endpoint: RFC 8628 section 3.1 and StartDeviceAuthorization."""

from __future__ import annotations

import math
from typing import Any, cast

from marshmallow import EXCLUDE, Schema, ValidationError

from grantway._types.fields import Scope, Text
from grantway_grants.device_code import GRANT_TYPE
from grantway_plugins.issuer._decisions.authentication import authenticate, credentials_of
from grantway_plugins.issuer._decisions.client_scope import exceeds_scope
from grantway_plugins.issuer._decisions.issuer import Issuer
from grantway_plugins.issuer._decisions.randomness import (
    digest,
    new_secret,
    new_user_code,
    shown_user_code,
)
from grantway_plugins.issuer._decisions.resources import requested_resources
from grantway_plugins.issuer._storage.records import (
    DeviceCodeRecord,
    DeviceStatus,
    LoginDetails,
    Polling,
    RegisteredClient,
)
from grantway_plugins.issuer._storage.transaction import Transaction
from grantway_plugins.issuer._storage.unit_of_work import UnitOfWork
from grantway_plugins.server._http.denial import Denial, DenialError
from grantway_plugins.server._http.wire import (
    WireFormat,
    WireRequest,
    WireResponse,
    camel,
    json_response,
)


class StartDeviceAuthorizationSchema(Schema):
    """Parameters of StartDeviceAuthorization; ``startUrl`` is required but ignored."""

    class Meta:
        """Unknown parameters are ignored (RFC 6749 section 3.1)."""

        unknown = EXCLUDE

    start_url = Text(required=True, example="https://d-0000000000.awsapps.com/start")


class DeviceAuthorizationSchema(Schema):
    """Parameters of RFC 8628 section 3.1."""

    class Meta:
        """Unknown parameters are ignored (RFC 6749 section 3.1)."""

        unknown = EXCLUDE

    scope = Scope()


_SCHEMAS: dict[WireFormat, Schema] = {
    WireFormat.AWS: StartDeviceAuthorizationSchema(),
    WireFormat.RFC: DeviceAuthorizationSchema(),
}


def device_authorization(issuer: Issuer, request: WireRequest) -> UnitOfWork:
    """Validate the request and return the unit of work for the database.

    Raises:
        DenialError: the request is invalid.
    """
    params = _load(request)
    resources = requested_resources(issuer.settings, request)
    credentials = credentials_of(request, issuer)

    def work(transaction: Transaction) -> WireResponse | Denial:
        now = issuer.clock()
        client = authenticate(issuer, request, credentials, transaction, now)
        if GRANT_TYPE not in client.grant_types:
            return Denial("unauthorized_client", f"The client is not registered for {GRANT_TYPE}")
        scope = params.get("scope") or client.scope
        if exceeds_scope(client, scope, issuer.settings):
            return Denial("invalid_scope", "scope exceeds the scopes that the client may request")
        content = _start(issuer, client, tuple(scope), resources, now=now, transaction=transaction)
        if request.dialect is WireFormat.AWS:
            content = {camel(name): value for name, value in content.items()}
        return json_response(200, content, request.dialect)

    return work


def _load(request: WireRequest) -> dict[str, Any]:
    try:
        loaded = _SCHEMAS[request.dialect].load(dict(request.params))
        return cast("dict[str, Any]", loaded)
    except ValidationError as invalid:
        messages = invalid.messages_dict
    problems = "; ".join(f"{request.shown(name)} {rules[0]}" for name, rules in messages.items())
    raise DenialError("invalid_request", problems.replace('"', "'"))


def _start(
    issuer: Issuer,
    client: RegisteredClient,
    scope: tuple[str, ...],
    resources: tuple[str, ...],
    *,
    now: float,
    transaction: Transaction,
) -> dict[str, Any]:
    """Store a new device code and user code; return the response's members by RFC name."""
    settings = issuer.settings
    device_code = new_secret("gwd")
    user_code = new_user_code()
    while transaction.device_codes.find_by_user_code(digest(user_code)) is not None:
        user_code = new_user_code()
    # A device that belongs to a user waits until the user is there.
    approved = settings.approve == "auto" and issuer.login is None
    transaction.device_codes.add(
        DeviceCodeRecord(
            digest=digest(device_code),
            client_id=client.client_id,
            scope=scope,
            subject=settings.subject if approved else None,
            status=DeviceStatus.APPROVED if approved else DeviceStatus.PENDING,
            expires_at=now + settings.lifetimes.device_code,
            polling=Polling(settings.lifetimes.device_interval),
            details=LoginDetails(resources=resources),
        ),
        digest(user_code),
    )
    shown = shown_user_code(user_code)
    return {
        "device_code": device_code,
        "user_code": shown,
        "verification_uri": f"{settings.url}/device",
        "verification_uri_complete": f"{settings.url}/device?user_code={shown}",
        "expires_in": int(settings.lifetimes.device_code),
        # Whole seconds (RFC 8628 section 3.2), at least 1: clients treat 0 as the default, 5.
        "interval": max(1, math.ceil(settings.lifetimes.device_interval)),
    }
