"""Marshmallow fields for values that occur only in a gateway's file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._inbound.clients import check_hashes
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError
from grantway_plugins.gateway.upstream._request_context import normal_host

#: An origin as a browser sends it (RFC 6454 section 6.2), in lower case.
ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://(?P<place>(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)"
)


class Network(fields.Field[ipaddress.IPv4Network | ipaddress.IPv6Network]):
    """An IP address or network."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        try:
            if isinstance(value, str):
                return ipaddress.ip_network(value)
        except ValueError:
            pass
        raise ValidationError('must be addresses or networks, like ["10.0.0.0/8"]')


class HostName(fields.Field[str]):
    """A host name or address, ``*.`` and a domain for all names below it, or ``*``."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        name = value.lower() if isinstance(value, str) else ""
        plain = name.removeprefix("*.")
        try:
            if name == "*" or normal_host(plain) == plain:
                return name
        except RequestRejectedError:
            pass
        raise ValidationError('must be host names without a port, like ["api.example.com"]')


class WebOrigin(fields.Field[str]):
    """The origin of web pages, as browsers send it (RFC 6454), or ``*``."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        origin = value.lower() if isinstance(value, str) else ""
        if origin == "*" or ORIGIN.fullmatch(origin):
            return origin
        raise ValidationError('must be origins of web pages, like ["https://app.example.com"]')


class ByClient(fields.Dict):
    """A table keyed by client ID. Errors are reported for the client they belong to."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> Any:
        try:
            # marshmallow does not annotate this method.
            return super()._deserialize(value, attr, data, **options)  # type: ignore[no-untyped-call]
        except ValidationError as error:
            messages = error.messages
        # marshmallow nests the errors of a client in the key "value".
        if isinstance(messages, dict):
            messages = {client_id: each["value"] for client_id, each in messages.items()}
        raise ValidationError(messages)


class SecretHashes(fields.Field[tuple[str, ...]]):
    """The hash of a client's secret, or a list of the hashes that work during a rotation."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> tuple[str, ...]:
        try:
            return check_hashes(value)
        except ConfigurationError as error:
            problem = error.message
        # Raised outside the except block: the file may hold the secret itself.
        raise ValidationError(problem)
