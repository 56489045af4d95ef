"""Find the authorization server of a protected resource from its URL (RFC 9728)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from grantway._exceptions import (
    Evidence,
    RedirectRefusedError,
    ResourceMetadataError,
    ResponseTooLargeError,
    TransportError,
)
from grantway._secrets.excerpts import excerpt
from grantway._secrets.redaction import printable
from grantway._transport.deadline import Deadline
from grantway._transport.http import (
    HttpRequest,
    HttpResponse,
    Transport,
    is_loopback,
    is_web_address,
)

from .challenges import parse_challenges
from .documents import origin_of, read_document
from .issuer_metadata import json_object

if TYPE_CHECKING:
    from grantway._transport.transport import HttpTransport

#: Maximum size of a metadata document in bytes.
MAX_DOCUMENT = 65_536
_WELL_KNOWN = "/.well-known/oauth-protected-resource"
_UNAUTHORIZED, _OK = 401, 200
#: Statuses of documents that do not exist, also if the resource protects all of its paths.
_ABSENT = frozenset({401, 403, 404, 405, 410})
#: A scope name (RFC 6749 section 3.3).
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_SHOWN, _NAMED = 200, 5
_ADVICE = (
    " If you know its authorization server, pass it as issuer. For servers of MCP 2025-03-26, it "
    "is often {}."
)
#: Longest wait in seconds for the challenge. A resource may answer with an endless event stream.
_CHALLENGE = 5.0


@dataclass(frozen=True, slots=True)
class FoundResource:
    """A protected resource and how to get tokens for it.

    Attributes:
        url: The resource identifier, for ``resource`` (RFC 8707).
        issuer: The authorization server.
        scope: The scopes to request: those of the challenge, otherwise ``scopes_supported``;
            empty if the resource names none.
        metadata: All members of the metadata.
    """

    url: str
    issuer: str
    scope: tuple[str, ...]
    metadata: Mapping[str, Any]


def find_resource(
    url: str,
    issuer: str | None,
    transport: Transport,
    deadline: Deadline,
    challenge: str | None = None,
) -> FoundResource:
    """Read the metadata of a resource.

    The URL in the challenge of a 401 response comes first. Without one, the well-known URLs of the
    resource's path and of its host follow (RFC 9728 section 3).

    If the resource has no metadata, as servers of MCP 2025-03-26, and may need a token, ``issuer``
    is its authorization server, and the URL is the resource identifier.

    Args:
        url: URL of the resource.
        issuer: The authorization server to choose, None for the first one. If the metadata lists
            any, it must be one of them, apart from a slash at the end.
        transport: Sends the requests.
        deadline: The deadline for all requests.
        challenge: ``WWW-Authenticate`` of a 401 response; None to request the resource.

    Raises:
        ResourceMetadataError: There is no valid metadata; names the document and the rule.
        TransportError: The resource could not be reached.
    """
    protected: bool | None = True
    if challenge is None:
        protected, challenge = _challenge(url, transport, deadline)
    challenged, scope = _named(challenge, url)
    looked: list[str] = []
    absent = True
    # Some challenges name a document that does not exist, although the well-known ones do.
    for address in dict.fromkeys([*filter(None, [challenged]), *_well_known_addresses(url)]):
        response = _read(address, transport, deadline)
        document = _document(address, response, required=address == challenged)
        if document is not None:
            chosen = _validated(document, address, url, issuer)
            scopes = scope or _scopes(document, address)
            return FoundResource(document["resource"], chosen, scopes, document)
        looked.append(f"{address} {_problem(response)}")
        absent = absent and not isinstance(response, str) and response.status in _ABSENT
    if issuer is not None and protected is not False and absent:
        return FoundResource(urlsplit(url)._replace(fragment="").geturl(), issuer, scope, {})
    problem = (
        "it answers without a token, so it needs no login"
        if protected is False
        else "it does not say where its tokens come from"
    )
    raise _invalid(
        url,
        f"has no metadata: {problem}. {'; '.join(looked)} (RFC 9728 section 3)",
        missing=True,
        advice=""
        if issuer
        else _ADVICE.format(urlunsplit(urlsplit(url)._replace(path="", query=""))),
    )


def _challenge(url: str, transport: Transport, deadline: Deadline) -> tuple[bool | None, str]:
    """Return whether the resource demands a token, or None if unknown, and its challenge."""
    limit = Deadline(min(_CHALLENGE, deadline.remaining()))
    try:
        response = transport.send(HttpRequest("GET", url, {"Accept": "application/json"}), limit)
    except (RedirectRefusedError, ResponseTooLargeError):
        return None, ""
    except TransportError:
        if limit.remaining() > 0:
            raise
        return None, ""  # perhaps an event stream
    if response.status != _UNAUTHORIZED:
        page = "html" in response.headers.get("content-type", "")  # perhaps to log in
        return (False if response.succeeded and not page else None), ""
    return True, response.headers.get("www-authenticate", "")


def _named(challenge: str, url: str) -> tuple[str, tuple[str, ...]]:
    """Return ``resource_metadata`` and ``scope`` of a challenge."""
    address, scope = "", ""
    for each in parse_challenges(challenge):
        if each.scheme in {"bearer", "dpop"}:
            address = address or each.parameters.get("resource_metadata", "")
            scope = scope or each.parameters.get("scope", "")
    if address and not _is_document_address(address, url):
        raise _invalid(
            printable(address)[:_SHOWN],
            f"is the resource_metadata in the challenge of {url}, and must be an https URL "
            "(RFC 9728 section 5.1)",
        )
    return address, tuple(each for each in scope.split() if _SCOPE.fullmatch(each))


def _is_document_address(address: str, url: str) -> bool:
    """Return whether a document may be read from an address: https, or http on this machine."""
    if not is_web_address(address) or not address.isascii():
        return False
    parts = urlsplit(address)
    return parts.scheme == "https" or (
        is_loopback(parts.hostname or "") and is_loopback(urlsplit(url).hostname or "")
    )


def _well_known_addresses(url: str) -> list[str]:
    """Return the well-known URLs, in lookup order (RFC 9728 section 3.1)."""
    parts = urlsplit(url)
    path = parts.path if parts.path != "/" else ""
    own = parts._replace(path=f"{_WELL_KNOWN}{path}", fragment="")
    root = own._replace(path=_WELL_KNOWN, query="")
    return list(dict.fromkeys([urlunsplit(own), urlunsplit(root)]))


def _read(address: str, transport: Transport, deadline: Deadline) -> HttpResponse | str:
    """Return the response of an address, or why it cannot be used."""
    try:
        return read_document(address, transport, deadline)
    except RedirectRefusedError:
        return (
            "is redirected, but not to a document of its host; perhaps to a login page, or to the "
            "metadata of another resource"
        )
    except ResponseTooLargeError:
        return f"has more than {MAX_DOCUMENT} bytes"


def _problem(response: HttpResponse | str) -> str:
    if isinstance(response, str):
        return response
    content = " without JSON" if response.status == _OK else ""
    return f"returned status {response.status}{content}"


def _document(
    address: str, response: HttpResponse | str, *, required: bool
) -> dict[str, Any] | None:
    """Return the metadata in a response; None if it does not exist, or is not required."""
    if isinstance(response, str) or response.status != _OK:
        if required and (isinstance(response, str) or response.status not in _ABSENT):
            raise _invalid(address, _problem(response), missing=not isinstance(response, str))
        return None
    document = json_object(response.body)
    if document is None and not required and "json" not in response.headers.get("content-type", ""):
        return None  # some sites send a page for any URL
    if len(response.body) > MAX_DOCUMENT:
        raise _invalid(address, f"has more than {MAX_DOCUMENT} bytes")
    if document is None:
        raise _invalid(address, "is not a JSON object", excerpt(response.body))
    return document


def _validated(document: dict[str, Any], address: str, url: str, issuer: str | None) -> str:
    """Check a document, and return the authorization server to use."""
    resource = document.get("resource")
    if not isinstance(resource, str) or not covers(resource, url):
        raise _invalid(
            address,
            f"is the metadata of {_quoted(resource)}, and not of {url}. Its resource must be this "
            "URL, or one with the same scheme, host and port and a shorter path (RFC 9728 section "
            "3.3)",
            advice=" If you mean that resource, use its URL." if isinstance(resource, str) else "",
        )
    listed = document.get("authorization_servers")
    servers = listed if isinstance(listed, list) else []
    valid = issuers_of(document, url)
    if issuer is not None:
        if listed and not is_listed(issuer, valid):
            raise _invalid(
                address,
                f"does not list the authorization server {issuer}; it lists "
                f"{', '.join(map(_quoted, servers[:_NAMED])) or 'none'}",
            )
        return issuer
    if not valid:
        raise _invalid(
            address,
            "must list the https URL of an authorization server in authorization_servers; it has "
            f"{_quoted(listed)}",
            advice="" if listed else " If you know it, pass it as issuer.",
        )
    return valid[0]


def issuers_of(document: Mapping[str, Any], url: str) -> list[str]:
    """Return the authorization servers that the metadata of a resource lists and that may be used.

    An issuer has neither a query nor a fragment (RFC 8414 section 2).

    Args:
        document: The metadata.
        url: URL of the resource.
    """
    listed = document.get("authorization_servers")
    return [
        each
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, str) and _is_document_address(each, url) and not {*"?#"} & {*each}
    ]


def is_listed(issuer: str, listed: Iterable[str]) -> bool:
    """Return whether an issuer is in a list, perhaps with another slash at the end.

    Some resources list an issuer with a slash that it does not have, or without its slash. Its own
    metadata must name it exactly.
    """
    return issuer.rstrip("/") in {each.rstrip("/") for each in listed}


def _scopes(document: Mapping[str, Any], address: str) -> tuple[str, ...]:
    scopes = document.get("scopes_supported")
    if scopes is None:
        return ()
    if not isinstance(scopes, list) or not all(
        isinstance(each, str) and _SCOPE.fullmatch(each) for each in scopes
    ):
        raise _invalid(address, "must have a list of scope names as scopes_supported")
    return tuple(dict.fromkeys(scopes))


def covers(resource: str, url: str) -> bool:
    """Return whether a resource identifier is a URL, or the beginning of its path.

    RFC 9728 section 3.3 requires them to be equal. Servers with several paths, such as those of
    MCP, publish one identifier for all of them, and a token for it is sent only to its host.
    """
    try:
        one, other = urlsplit(resource), urlsplit(url)
        same = origin_of(one) == origin_of(other)
    except ValueError:
        return False
    if not same or not is_web_address(resource):
        return False
    if one.fragment or one.query not in {"", other.query}:
        return False
    prefix = one.path.rstrip("/")
    return f"{other.path.rstrip('/')}/".startswith(f"{prefix}/")


def check_pkce(metadata: Mapping[str, Any], issuer: str) -> None:
    """Check that an authorization server supports PKCE with ``S256`` (RFC 8414, RFC 7636).

    Raises:
        ResourceMetadataError: Its metadata does not list ``S256``.
    """
    methods = metadata.get("code_challenge_methods_supported")
    if not isinstance(methods, list) or "S256" not in methods:
        raise _invalid(
            issuer,
            "is the authorization server of the resource, and its metadata must list S256 in "
            f"code_challenge_methods_supported; it has {_quoted(methods)}. Without PKCE, a stolen "
            "code could be redeemed",
            advice=" Ask its operator to add it. A program that knows the authorization server can "
            "use Client and TokenAuth instead.",
        )


def document_transport(url: str) -> HttpTransport:
    """Return a transport for the metadata of a resource."""
    from grantway._transport.transport import HttpTransport  # noqa: PLC0415 - only if needed

    return HttpTransport(max_response=MAX_DOCUMENT, public_only=True, unless_private=url)


def _quoted(value: object) -> str:
    return repr(printable(str(value))[:_SHOWN])


def _invalid(
    document: str, rule: str, shown: str = "", *, missing: bool = False, advice: str = ""
) -> ResourceMetadataError:
    return ResourceMetadataError(
        f"The document {document} {rule}.{advice}",
        document=document,
        rule=rule,
        missing=missing,
        excerpt=shown,
        evidence=Evidence(provider=urlsplit(document).netloc, step="discovery"),
    )
