"""URLs of Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document section 3)."""

from __future__ import annotations

from urllib.parse import urlsplit

from .document_settings import ClientDocuments

#: Maximum length of a client id that is a URL, in characters.
MAX_URL = 1024
_SCHEMES = ("https://", "http://")


def looks_like_url(client_id: object) -> bool:
    """Return whether a client id can only be the URL of a document."""
    return isinstance(client_id, str) and client_id.startswith(_SCHEMES)


def url_problem(client_id: str, settings: ClientDocuments) -> str | None:
    """Return the rule that the URL of a document violates, or None."""
    try:
        parts = urlsplit(client_id)
        host = parts.hostname or ""
        _ = parts.port  # raises ValueError if it is invalid
    except ValueError:
        return "is not a URL"
    rules = (
        (len(client_id) <= MAX_URL, f"is longer than {MAX_URL} characters"),
        (
            client_id.isascii() and client_id.isprintable() and not set(' \\"<>') & set(client_id),
            "contains characters that a URL cannot contain",
        ),
        (
            parts.scheme == "https" or (parts.scheme == "http" and host in settings.private_hosts),
            "must be an https URL",
        ),
        (
            host and "@" not in parts.netloc and "#" not in client_id,
            "must have a host, and no user or fragment",
        ),
        (parts.path.strip("/"), "must have a path"),
        (
            not {".", ".."} & set(parts.path.lower().replace("%2e", ".").split("/")),
            "must not contain dot segments",
        ),
        (settings.accepts(host), "is on a host that this issuer does not accept"),
    )
    return next((problem for holds, problem in rules if not holds), None)
