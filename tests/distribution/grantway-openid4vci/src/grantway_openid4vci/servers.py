"""The authorization server of a credential offer (OpenID4VCI section 12.2)."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit

from grantway import Provider, Transport, require_secure

from .documents import fetch_json
from .errors import OfferInvalidError
from .grant import GRANT_TYPE
from .offer import CredentialOffer


def authorization_server(offer: CredentialOffer, *, transport: Transport | None = None) -> Provider:
    """Return the authorization server that accepts an offer's code.

    Args:
        offer: The offer.
        transport: Sends the requests; by default a new ``HttpTransport``.

    Raises:
        ConfigurationError: The credential issuer is no https URL.
        OfferInvalidError: The metadata is invalid, or names no server for this grant.
        ResponseInvalidError: A server publishes no valid metadata.
        TransportError: A server could not be reached.
    """
    issuer = offer.credential_issuer
    require_secure(issuer, "credential_issuer")
    parts = urlsplit(issuer)
    url = f"{parts.scheme}://{parts.netloc}/.well-known/openid-credential-issuer"
    metadata = fetch_json(
        f"{url}{parts.path.rstrip('/')}", "the metadata of the credential issuer", transport
    )
    if metadata.get("credential_issuer") != issuer:
        raise OfferInvalidError(
            f"The metadata at {url} is not for {issuer}, which the credential offer names"
        )
    servers = _strings(metadata.get("authorization_servers", [issuer]))
    if servers is None:
        raise OfferInvalidError(f"authorization_servers in the metadata of {issuer} is no list")
    if offer.authorization_server is not None:
        if offer.authorization_server not in servers:
            raise OfferInvalidError(
                f"The credential offer names an authorization server that {issuer} does not list"
            )
        servers = [offer.authorization_server]
    for server in servers:
        provider = Provider.discover(server, transport=transport)
        if len(servers) == 1 or GRANT_TYPE in provider.metadata.get("grant_types_supported", ()):
            return provider
    raise OfferInvalidError(f"No authorization server of {issuer} supports {GRANT_TYPE}")


def _strings(value: object) -> list[str] | None:
    if not isinstance(value, list):
        return None
    found = cast("list[object]", value)
    strings = [each for each in found if isinstance(each, str)]
    return strings if len(strings) == len(found) else None
