"""Who is asked: a provider's endpoints, its metadata (RFC 8414) and its dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from .deadline import Deadline
from .dialect import RFC6749, Dialect
from .exceptions import (
    ConfigurationError,
    Evidence,
    InsecureEndpointError,
    RedirectRefusedError,
    ResponseInvalidError,
)
from .http import HttpRequest, Transport, require_secure
from .quantity import check_seconds
from .redaction import excerpt

if TYPE_CHECKING:
    from typing import Self

_ENDPOINTS = (
    "token_endpoint",
    "authorization_endpoint",
    "device_authorization_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
)


def _no_metadata() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider's endpoints and how it speaks. Immutable; share it freely.

    Attributes:
        token_endpoint: Where tokens are asked for.
        dialect: Name of a registered dialect, or a ``Dialect``.
        issuer: The provider's identifier (RFC 8414), checked against ``iss`` (RFC 9207).
        authorization_endpoint: Where a browser is sent.
        device_authorization_endpoint: Where a device flow starts (RFC 8628).
        registration_endpoint: Where clients register (RFC 7591).
        revocation_endpoint: Where tokens are given up (RFC 7009).
        metadata: Everything else that discovery found.

    Raises:
        InsecureEndpointError: an endpoint is plain http on another machine.
        ConfigurationError: an endpoint is not an absolute address.
    """

    token_endpoint: str
    dialect: str | Dialect = field(default=RFC6749, hash=False)
    issuer: str | None = None
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=_no_metadata, repr=False, hash=False)

    def __post_init__(self) -> None:
        for name in _ENDPOINTS:
            if name == "token_endpoint" or getattr(self, name) is not None:
                require_secure(getattr(self, name), name)

    @property
    def host(self) -> str:
        """Host and port of the token endpoint."""
        return urlsplit(self.token_endpoint).netloc

    def endpoint(self, step: str) -> str:
        """The address of ``{step}_endpoint``.

        Raises:
            ConfigurationError: this provider has none.
        """
        name = f"{step}_endpoint"
        url = getattr(self, name, None) if name in _ENDPOINTS else None
        url = url or self.metadata.get(name)
        if not isinstance(url, str) or not url:
            given = f"{name}=..." if name in _ENDPOINTS else f'metadata={{"{name}": ...}}'
            raise ConfigurationError(
                f"{name}: this provider has none. Give it to Provider({given}), or use "
                "Provider.discover(issuer) if the provider publishes it."
            )
        if name not in _ENDPOINTS:
            require_secure(url, name)
        return url

    @classmethod
    def discover(
        cls,
        issuer: str,
        *,
        dialect: str | Dialect = RFC6749,
        timeout: float = 10.0,
        transport: Transport | None = None,
    ) -> Self:
        """Read the provider's published metadata (RFC 8414, then OpenID Connect Discovery).

        Args:
            issuer: The provider's identifier, an https address (http on this machine).
            dialect: How it speaks.
            timeout: Seconds for both attempts together.
            transport: Sends the requests; by default one of its own.

        Raises:
            InsecureEndpointError: an https issuer publishes an endpoint that is plain http.
            ResponseInvalidError: neither document is there, or it is not this issuer's.
            TransportError: the provider could not be reached.
        """
        check_seconds("timeout", timeout)
        require_secure(issuer, "issuer")
        if urlsplit(issuer).query:
            raise ConfigurationError("issuer: must have no query (RFC 8414 section 2).")
        if transport is None:
            from .transport import RequestsTransport  # noqa: PLC0415 - requests loads when needed

            own = RequestsTransport()
            try:
                found = _read_metadata(issuer, own, Deadline(timeout))
            finally:
                own.close()
        else:
            found = _read_metadata(issuer, transport, Deadline(timeout))
        named = {name: found.pop(name) for name in _ENDPOINTS if isinstance(found.get(name), str)}
        found.pop("issuer")
        if "token_endpoint" not in named:
            raise ResponseInvalidError(
                f"The metadata of {issuer} has no token_endpoint.",
                evidence=Evidence(provider=urlsplit(issuer).netloc, step="discovery"),
            )
        if urlsplit(issuer).scheme == "https":
            _refuse_plain_http(issuer, {**named, **found})
        return cls(**named, issuer=issuer, dialect=dialect, metadata=MappingProxyType(found))


def _refuse_plain_http(issuer: str, metadata: Mapping[str, Any]) -> None:
    """Refuse endpoints that are plain http, also on this machine, whose programs are not theirs."""
    aliases = metadata.get("mtls_endpoint_aliases")
    named = {**metadata, **(aliases if isinstance(aliases, dict) else {})}
    for name, url in named.items():
        if (
            (name.endswith("_endpoint") or name == "jwks_uri")
            and isinstance(url, str)
            and url.strip().lower().startswith("http:")
        ):
            raise InsecureEndpointError(
                f"{name}: the metadata of {issuer} names {url[:200]!r}, which is plain http, "
                "so secrets would go there in the clear. Ask the provider's operator to publish "
                "https addresses, or name the endpoints yourself."
            )


def _addresses(issuer: str) -> tuple[str, str]:
    """RFC 8414 puts the well-known part before the path, OpenID Connect behind it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return (
        urlunsplit(parts._replace(path=f"/.well-known/oauth-authorization-server{path}")),
        urlunsplit(parts._replace(path=f"{path}/.well-known/openid-configuration")),
    )


_OK, _NOT_FOUND = 200, 404


def _read_metadata(issuer: str, transport: Transport, deadline: Deadline) -> dict[str, Any]:
    host = urlsplit(issuer).netloc
    problem, status, shown = "", 0, ""
    for address in _addresses(issuer):
        try:
            response = transport.send(
                HttpRequest("GET", address, {"Accept": "application/json"}), deadline
            )
        except RedirectRefusedError as elsewhere:
            # Many sites send every unknown address to a login page.
            status = elsewhere.evidence.status or 0
            problem = problem or f"{urlsplit(address).path} answered {status}"
            continue
        status = response.status
        if status != _OK:
            problem = problem or f"{urlsplit(address).path} answered {status}"
            continue
        try:
            found = json.loads(response.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            problem = f"{urlsplit(address).path} is not a JSON object"
            shown = excerpt(response.body)
            continue
        # RFC 8414 section 3.3: another issuer's document would let it receive our secrets.
        if found.get("issuer") != issuer:
            problem = (
                f"the document names the issuer {str(found.get('issuer'))[:200]!r}; "
                "use exactly that address if it is the right one"
            )
            continue
        return found
    raise ResponseInvalidError(
        f"Discovery of {issuer} failed: {problem}.",
        excerpt=shown,
        evidence=Evidence(provider=host, status=status, step="discovery"),
    )


def require_dialect(dialect: str | Dialect, known: Mapping[str, Dialect]) -> Dialect:
    """Turn a dialect's name into the dialect.

    Raises:
        ConfigurationError: lists the names that are registered.
    """
    if isinstance(dialect, Dialect):
        return dialect
    try:
        return known[dialect]
    except KeyError:
        raise ConfigurationError(
            f"dialect: {dialect!r} is not registered; there are {', '.join(sorted(known))}."
        ) from None
