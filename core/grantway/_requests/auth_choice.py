"""Create the client authentication from the arguments of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grantway._plugins.kinds import CLIENT_AUTH

from .client_auth import (
    JWT_BEARER,
    ClientAssertion,
    ClientAuth,
    check_client_auth,
    check_method,
    check_secret,
    client_auth,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from grantway._plugins.registry import Registry
    from grantway._wire.shapes import RequestShape


def named_auth(
    method: str | None, client_id: str, secret: Any, shape: RequestShape, registry: Registry
) -> ClientAuth:
    """Return the client authentication for the name of a method.

    Args:
        method: The method; None for the dialect's.
        client_id: The client identifier.
        secret: The client secret, a source of it, or None.
        shape: The dialect's requests.
        registry: Provides the methods of plugins.

    Raises:
        ConfigurationError: The method is not registered, or an argument is invalid.
    """
    name = method or shape.client_auth
    plugin = ""
    if name in registry.client_auth:
        plugin = registry.owner_of(CLIENT_AUTH, name).named

    def make(value: str | None) -> ClientAuth:
        made = client_auth(
            name, client_id, value, credentials=shape.basic, more=registry.client_auth
        )
        return check_client_auth(made, plugin)

    if secret is None or isinstance(secret, str) or name == "none":
        return make(secret)
    check_method(name, client_id, registry.client_auth)
    return _sourced(client_id, secret, make, "client_secret")


def assertion_auth(
    client_id: str, client_assertion: Any, client_assertion_type: str = JWT_BEARER
) -> ClientAuth:
    """Return the client authentication with an assertion of another issuer.

    Args:
        client_id: The client identifier.
        client_assertion: The assertion, or a source of it.
        client_assertion_type: The assertion's type.

    Raises:
        ConfigurationError: An argument is invalid.
    """
    check_method("none", client_id, {})
    check_secret("client_assertion_type", client_assertion_type)

    def make(value: str) -> ClientAuth:
        check_secret("client_assertion", value)
        return ClientAssertion(client_id, value, client_assertion_type)

    if isinstance(client_assertion, str):
        return make(client_assertion)
    return _sourced(client_id, client_assertion, make, "client_assertion")


def _sourced(
    client_id: str, source: Any, make: Callable[[str], ClientAuth], setting: str
) -> ClientAuth:
    from .sourced_auth import SourcedAuth  # noqa: PLC0415 - few clients have a source

    return SourcedAuth(client_id, source, make, setting=setting)
