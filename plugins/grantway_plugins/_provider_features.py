"""Optional features that a provider's metadata announces."""

from __future__ import annotations

from grantway._requests.provider import Provider

#: Metadata of a provider that reads the metadata documents of clients (Client ID Metadata
#: Document).
CLIENT_DOCUMENTS = "client_id_metadata_document_supported"
_OFFLINE = "offline_access"


def with_offline_access(scope: tuple[str, ...], provider: Provider) -> tuple[str, ...]:
    """Add the scope for a refresh token, if the provider has it (OpenID Connect Core section 11).

    An empty scope stays empty, because the provider then chooses one.
    """
    offered = provider.metadata.get("scopes_supported")
    if not scope or not isinstance(offered, list) or _OFFLINE not in offered:
        return scope
    return tuple(dict.fromkeys([*scope, _OFFLINE]))


def reads_client_documents(provider: Provider) -> bool:
    """Return whether a ``client_id`` may be the URL of the client's metadata document."""
    return provider.metadata.get(CLIENT_DOCUMENTS) is True
