"""Client authentication methods (RFC 6749 section 2.3)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast
from urllib.parse import quote_plus

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import Value
from grantway._secrets.hidden_arguments import hides_construction
from grantway._secrets.params import Params
from grantway._transport.http import can_travel
from grantway._types.callables import is_async, kind_of

if TYPE_CHECKING:
    from grantway._wire.shapes import RequestShape

    from .outgoing_request import OutgoingRequest


class ClientAuth(Protocol):
    """A client authentication method.

    A method that wraps another one has an additional attribute, ``secret_sources``: that of the
    wrapped method, or an empty tuple. grantway reads these sources before each request.
    """

    @property
    def client_id(self) -> str:
        """The client identifier."""
        ...

    def authenticate(self, request: OutgoingRequest, /) -> None:
        """Add the authentication to the fields or headers of a request; called for each send."""
        ...

    def secrets(self) -> tuple[str, ...]:
        """Return the secret values, in every encoding that is sent, for redaction."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NoAuth(Value):
    """``none``: a public client sends only its ``client_id``."""

    client_id: str

    def authenticate(self, request: OutgoingRequest) -> None:
        """Add ``client_id`` to the body."""
        request.fields.setdefault("client_id", self.client_id)

    def secrets(self) -> tuple[str, ...]:
        """Return no secrets."""
        return ()


@hides_construction
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ClientSecretPost(Value):
    """``client_secret_post``: identifier and secret in the body."""

    client_id: str
    client_secret: str = field(repr=False)

    def authenticate(self, request: OutgoingRequest) -> None:
        """Add ``client_id`` and ``client_secret`` to the body."""
        request.fields["client_id"] = self.client_id
        request.fields["client_secret"] = self.client_secret

    def secrets(self) -> tuple[str, ...]:
        """Return the secret, plain and form-encoded."""
        return (self.client_secret, quote_plus(self.client_secret))


@hides_construction
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ClientSecretBasic(Value):
    """``client_secret_basic``: identifier and secret in the Authorization header.

    Attributes:
        client_id: The client identifier.
        client_secret: The client secret.
        credentials: ``encoded`` form-encodes both first (RFC 6749 section 2.3.1); ``raw`` is for
            providers that do not decode them.
    """

    client_id: str
    client_secret: str = field(repr=False)
    credentials: Literal["encoded", "raw"] = "encoded"
    _header: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        convert = quote_plus if self.credentials == "encoded" else str
        if self.credentials == "raw" and ":" in self.client_id:
            raise ConfigurationError(
                "client_id: must not contain a colon with raw Basic credentials; use "
                "client_secret_post, or a dialect that form-encodes Basic credentials."
            )
        pair = f"{convert(self.client_id)}:{convert(self.client_secret)}".encode()
        object.__setattr__(self, "_header", f"Basic {base64.b64encode(pair).decode()}")

    def authenticate(self, request: OutgoingRequest) -> None:
        """Set the Authorization header."""
        request.headers["Authorization"] = self._header

    def secrets(self) -> tuple[str, ...]:
        """Return the secret: plain, form-encoded, and as encoded in the header."""
        return (self.client_secret, quote_plus(self.client_secret), self._header[6:])


#: RFC 7523 section 2.2.
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def check_client_auth(auth: object, plugin: str = "") -> ClientAuth:
    """Return the client authentication if it is valid.

    Args:
        auth: The client authentication.
        plugin: The plugin that created it, for errors.

    Raises:
        ConfigurationError: a member is missing, invalid or asynchronous.
    """
    named = f"the object that the plugin {plugin} creates" if plugin else kind_of(auth)
    given: Any = auth
    if auth is None:
        problem = "is None"
    elif isinstance(auth, type):
        problem = "is a class; give an instance"
    elif not isinstance(getattr(auth, "client_id", None), str):
        problem = "has no client_id, a string"
    else:
        problem = _method_problem(auth) or _secrets_problem(given.secrets())
    if problem:
        raise ConfigurationError(
            f"auth: {named} {problem}. It needs client_id, authenticate(request) and secrets().",
            errors={"auth": [problem]},
        )
    return cast("ClientAuth", auth)


def _method_problem(auth: object) -> str:
    for name in ("authenticate", "secrets"):
        method = getattr(auth, name, None)
        if not callable(method):
            return f"has no method {name}"
        if is_async(method):
            return f"has an asynchronous {name}, and grantway calls it synchronously"
    return ""


def _secrets_problem(secrets: object) -> str:
    """Return the problem with ``secrets()``; a string would be read as a tuple of letters."""
    if isinstance(secrets, (tuple, list)) and all(isinstance(each, str) for each in secrets):
        return ""
    return f"returns {kind_of(secrets)} from secrets(), not a tuple of strings"


#: Creates client authentication from a client_id and a client_secret, which may be None.
ClientAuthFactory = Callable[[str, str | None], ClientAuth]
#: The methods that are available without a plugin.
STANDARD_METHODS = ("none", "client_secret_basic", "client_secret_post")


def client_auth(
    method: str,
    client_id: str,
    client_secret: str | None,
    *,
    credentials: Literal["encoded", "raw"] = "encoded",
    more: Mapping[str, ClientAuthFactory] = MappingProxyType({}),
) -> ClientAuth:
    """Return the client authentication for the name of a method.

    Args:
        method: ``none``, ``client_secret_basic`` or ``client_secret_post`` (RFC 7591 section 2),
            or one of ``more``.
        client_id: The client identifier.
        client_secret: The client secret; None for a public client, which sends only its
            ``client_id``.
        credentials: As for ``ClientSecretBasic``.
        more: Methods that plugins registered.

    Raises:
        ConfigurationError: the method is not registered, or an argument is invalid.
    """
    check_method(method, client_id, more)
    if method in more:
        return more[method](client_id, client_secret)
    if client_secret is None or method == "none":
        return NoAuth(client_id)
    check_secret("client_secret", client_secret)
    if method == "client_secret_post":
        return ClientSecretPost(client_id, client_secret)
    return ClientSecretBasic(client_id, client_secret, credentials)


def check_method(method: str, client_id: str, more: Mapping[str, ClientAuthFactory]) -> None:
    """Check the arguments of ``client_auth`` that do not depend on the secret.

    Raises:
        ConfigurationError: the method is not registered, or the client identifier is invalid.
    """
    if not isinstance(client_id, str) or not client_id or not can_travel(client_id):
        raise ConfigurationError('client_id: must be a non-empty string, like "my-client".')
    if method not in more and method not in STANDARD_METHODS:
        raise ConfigurationError(
            f"auth: {method!r} is not registered; use "
            f"{', '.join([*STANDARD_METHODS, *sorted(more)])}, or an object that implements "
            "ClientAuth."
        )


def check_secret(name: str, value: object) -> None:
    """Check a secret that is sent.

    Raises:
        ConfigurationError: it is empty, no string, or cannot be encoded.
    """
    if not isinstance(value, str) or not value or not can_travel(value):
        raise ConfigurationError(
            f"{name}: must be a non-empty string, a secret source with read(), or None."
        )


def named_auth(
    method: str | None,
    client_id: str,
    secret: Any,
    shape: RequestShape,
    *,
    more: Mapping[str, ClientAuthFactory],
    owner: Callable[[str], str],
) -> ClientAuth:
    """Return the client authentication for the name of a method.

    Args:
        method: The method; None for the dialect's.
        client_id: The client identifier.
        secret: The client secret, a source of it, or None.
        shape: The dialect's requests.
        more: Methods that plugins registered.
        owner: Returns the plugin of a method, for errors.

    Raises:
        ConfigurationError: The method is not registered, or an argument is invalid.
    """
    name = method or shape.client_auth

    def make(value: str | None) -> ClientAuth:
        if name in STANDARD_METHODS:
            return client_auth(name, client_id, value, credentials=shape.basic, more=more)
        from grantway._plugins.failures import call_factory  # noqa: PLC0415 - for plugins only

        plugin = owner(name)
        made = call_factory(
            client_auth,
            Params(method=name, client_id=client_id, client_secret=value, more=more),
            lambda problem: ConfigurationError(f"auth: {name}, of the plugin {plugin}, {problem}."),
        )
        return check_client_auth(made, plugin)

    if secret is None or isinstance(secret, str) or name == "none":
        return make(secret)
    check_method(name, client_id, more)
    from .sourced_auth import SourcedAuth  # noqa: PLC0415 - few clients have a source

    return SourcedAuth(client_id, secret, make, setting="client_secret")
