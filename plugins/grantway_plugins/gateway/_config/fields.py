"""Marshmallow fields for values that occur only in a gateway's file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from grantway._exceptions import ConfigurationError
from grantway._types.quantity import check_count
from grantway_plugins._config.tables import check_value
from grantway_plugins.gateway._inbound.clients import check_hashes
from grantway_plugins.gateway.upstream._rejection import RequestRejectedError
from grantway_plugins.gateway.upstream._request_context import normal_host

_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(?P<port>\d{1,5})")
#: An origin as a browser sends it (RFC 6454 section 6.2), in lower case.
ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://(?P<place>(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)"
)
_MOST_PORT = 65_535


class WholeNumber(fields.Field[int]):
    """A whole number.

    Args:
        least: The minimum.
    """

    def __init__(self, *, least: int = 1, **options: Any) -> None:
        self._least = least
        super().__init__(**options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> int:
        check_value(check_count, value, least=self._least)
        return int(value)


class StrictBoolean(fields.Boolean):
    """True or false. Strings and numbers are rejected."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class Choice(fields.String):
    """One of several words.

    Args:
        words: The allowed words.
    """

    def __init__(self, *words: str, **options: Any) -> None:
        self._words = words
        shown = " or ".join(f'"{each}"' for each in words)
        self._rule = f"must be {shown}"
        super().__init__(error_messages={"required": f"is missing; it {self._rule}"}, **options)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> str:
        if value not in self._words:
            raise ValidationError(self._rule)
        return str(value)


class Listen(fields.Field[tuple[str, int]]):
    """An address to listen on, like ``127.0.0.1:8410``; port 0 picks a free one."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> tuple[str, int]:
        found = _LISTEN.fullmatch(value) if isinstance(value, str) else None
        if found is None or int(found["port"]) > _MOST_PORT:
            raise ValidationError('must be host and port, like "127.0.0.1:8410"')
        return found["host"].strip("[]"), int(found["port"])


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
