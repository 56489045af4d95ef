"""A provider: its endpoints, its metadata (RFC 8414) and its dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from grantway._exceptions import (
    ConfigurationError,
    Evidence,
    InsecureEndpointError,
    ResponseInvalidError,
)
from grantway._processes.copies import Value
from grantway._transport.deadline import Deadline
from grantway._transport.http import Transport, require_secure
from grantway._types.quantity import check_seconds
from grantway._wire.dialect import RFC6749, Dialect

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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Provider(Value):
    """A provider's endpoints and dialect. Immutable.

    Attributes:
        token_endpoint: The token endpoint (RFC 6749 section 3.2).
        dialect: The name of a registered dialect, or a ``Dialect``.
        issuer: The issuer identifier (RFC 8414), compared with ``iss`` (RFC 9207).
        authorization_endpoint: The authorization endpoint (RFC 6749 section 3.1).
        device_authorization_endpoint: The device authorization endpoint (RFC 8628).
        registration_endpoint: The client registration endpoint (RFC 7591).
        revocation_endpoint: The revocation endpoint (RFC 7009).
        metadata: The other members of the discovered metadata.
        resource: The protected resource that tokens are for. It is sent with every request for a
            token that names no other (RFC 8707).
        scope: The scope of logins that request no other.

    Raises:
        InsecureEndpointError: an endpoint is plain http on another machine.
        ConfigurationError: an endpoint is not an absolute URL.
    """

    token_endpoint: str
    dialect: str | Dialect = field(default=RFC6749, hash=False)
    issuer: str | None = None
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=_no_metadata, repr=False, hash=False)
    resource: str | None = None
    scope: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _ENDPOINTS:
            if name == "token_endpoint" or getattr(self, name) is not None:
                require_secure(getattr(self, name), name)

    @property
    def host(self) -> str:
        """The host and port of the token endpoint."""
        return urlsplit(self.token_endpoint).netloc

    def endpoint(self, step: str) -> str:
        """Return the URL of ``{step}_endpoint``.

        Raises:
            ConfigurationError: this provider has no such endpoint.
        """
        name = f"{step}_endpoint"
        url = getattr(self, name, None) if name in _ENDPOINTS else None
        url = url or self.metadata.get(name)
        if not isinstance(url, str) or not url:
            where = "" if name in _ENDPOINTS else ", in a program as part of metadata"
            raise ConfigurationError(
                f"{name}: this provider has none. Add it to the settings of the provider{where}, "
                "or discover the provider by its issuer if it publishes its endpoints."
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
        expected_issuer: str | None = None,
        timeout: float = 10.0,
        transport: Transport | None = None,
    ) -> Self:
        """Read the provider's published metadata (RFC 8414, OpenID Connect Discovery).

        Try the three well-known URLs of an issuer in this order until one returns its metadata: RFC
        8414 section 3.1, RFC 8414 section 5, OpenID Connect Discovery. Transient failures are
        retried.

        Args:
            issuer: The issuer identifier, an https URL (http on this machine).
            dialect: The provider's dialect.
            expected_issuer: The issuer in the metadata, if it differs: for Microsoft Entra's
                ``common`` it is ``https://login.microsoftonline.com/{tenantid}/v2.0``. It becomes
                ``Provider.issuer`` unless it has such a placeholder. By default it must equal
                ``issuer`` (RFC 8414 section 3.3).
            timeout: Seconds for all attempts.
            transport: Sends the requests; by default a new ``HttpTransport``.

        Raises:
            InsecureEndpointError: an https issuer publishes a plain http endpoint.
            ResponseInvalidError: no URL returned this issuer's metadata. The message lists what
                each returned.
            ProviderUnavailableError: the provider is busy.
            TransportError: the provider could not be reached.
        """
        from grantway._wire.issuer_metadata import (  # noqa: PLC0415 - only discovery needs it
            read_metadata,
        )

        check_seconds("timeout", timeout)
        require_secure(issuer, "issuer")
        if urlsplit(issuer).query:
            raise ConfigurationError("issuer: must have no query (RFC 8414 section 2).")
        expected = issuer if expected_issuer is None else expected_issuer
        if not isinstance(expected, str) or not expected:
            raise ConfigurationError(
                "expected_issuer: must be the issuer in the metadata, or None."
            )
        if transport is None:
            from grantway._transport.transport import (  # noqa: PLC0415 - requests loads when needed
                HttpTransport,
            )

            own = HttpTransport()
            try:
                found = read_metadata(issuer, expected, own, Deadline(timeout))
            finally:
                own.close()
        else:
            found = read_metadata(issuer, expected, transport, Deadline(timeout))
        named = {name: found.pop(name) for name in _ENDPOINTS if isinstance(found.get(name), str)}
        named = {name: url for name, url in named.items() if url}
        found.pop("issuer")
        if "token_endpoint" not in named:
            raise ResponseInvalidError(
                f"The metadata of {issuer} has no token_endpoint. Check the issuer, or configure "
                "the endpoints yourself.",
                evidence=Evidence(provider=urlsplit(issuer).netloc, step="discovery"),
            )
        if urlsplit(issuer).scheme == "https":
            _reject_plain_http(issuer, {**named, **found})
        try:
            return cls(
                **named,
                issuer=None if "{" in expected else expected,
                dialect=dialect,
                metadata=MappingProxyType(found),
            )
        except InsecureEndpointError:
            raise
        except ConfigurationError as error:
            problem = str(error)
        raise ResponseInvalidError(
            f"The metadata of {issuer} is invalid: {problem} Ask its operator to correct it, or "
            "configure the endpoints yourself.",
            evidence=Evidence(provider=urlsplit(issuer).netloc, step="discovery"),
        )

    @classmethod
    def for_resource(
        cls,
        url: str,
        *,
        issuer: str | None = None,
        challenge: str | None = None,
        dialect: str | Dialect = RFC6749,
        timeout: float = 10.0,
        transport: Transport | None = None,
    ) -> Self:
        """Find the provider of a protected resource, such as an API or an MCP server, by its URL.

        Request the resource without a token and read the metadata that its challenge names, or its
        well-known metadata (RFC 9728), and then the metadata of its authorization server (see
        ``discover``). The provider must support PKCE with ``S256``, unless it has no authorization
        endpoint. Its ``resource`` and ``scope`` are those that the resource names.

        Args:
            url: URL of the resource: https, or http on this machine.
            issuer: The authorization server to use, if the resource lists several (by default the
                first one) or none, or if it lists the issuer with another slash at the end.
            challenge: ``WWW-Authenticate`` of a 401 response of the resource, if the program has
                received one; the resource is not requested then. Some resources send the challenge
                for certain methods only.
            dialect: The provider's dialect.
            timeout: Seconds for all requests.
            transport: Sends the requests. By default, documents have at most 64 KiB, and hosts on
                private networks are not contacted, unless the resource is on one.

        Raises:
            ResourceMetadataError: a document is missing, or breaks a rule; names both.
            ResponseInvalidError: the authorization server does not publish its metadata.
            InsecureEndpointError: the URL or an endpoint is plain http on another machine.
            TransportError: the resource or its authorization server could not be reached.
        """
        from grantway._wire.protected_resource import (  # noqa: PLC0415 - few programs need it
            document_transport,
            find_resource,
        )

        from .resource_provider import discover_for  # noqa: PLC0415 - as above

        check_seconds("timeout", timeout)
        require_secure(url, "url")
        deadline = Deadline(timeout)
        own = document_transport(url) if transport is None else None
        sending = transport or own
        assert sending is not None  # one of both is given
        try:
            resource = find_resource(url, issuer, sending, deadline, challenge)
            return discover_for(resource, cls, sending, deadline, dialect)
        finally:
            if own is not None:
                own.close()


def _reject_plain_http(issuer: str, metadata: Mapping[str, Any]) -> None:
    """Reject plain http endpoints, even on this machine, in the metadata of an https issuer."""
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
                "so secrets would be sent unencrypted. Ask the provider's operator to publish "
                "https URLs, or configure the endpoints yourself."
            )


def require_dialect(dialect: str | Dialect, known: Mapping[str, Dialect]) -> Dialect:
    """Return the dialect of a name; return a ``Dialect`` unchanged.

    Raises:
        ConfigurationError: the name is not registered. The message lists the registered names.
    """
    if isinstance(dialect, Dialect):
        return dialect
    try:
        return known[dialect]
    except KeyError:
        raise ConfigurationError(
            f"dialect: {dialect!r} is not registered; use one of {', '.join(sorted(known))}."
        ) from None
