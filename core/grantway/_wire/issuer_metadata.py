"""Read the metadata of an issuer (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from grantway._exceptions import (
    ConnectionFailedError,
    Evidence,
    OutcomeUnknownError,
    ProviderUnavailableError,
    RedirectRefusedError,
    ResponseInvalidError,
    TransportError,
)
from grantway._secrets.excerpts import excerpt
from grantway._secrets.redaction import printable
from grantway._transport.deadline import Deadline
from grantway._transport.http import REFUSED, HttpResponse, Transport, retry_after
from grantway._transport.transient import is_failed, is_refused

from .documents import read_document

_OK = 200
#: Maximum number of requests to each URL.
_ROUNDS = 3
#: The wait before round n is random between 0 and this times 2**n, in seconds.
_BASE = 0.05
#: Maximum Retry-After in seconds; a longer one ends the discovery.
_LONGEST_WAIT = 30.0
_SHOWN = 200


def well_known_addresses(issuer: str) -> tuple[str, ...]:
    """Return the URLs where an issuer may publish its metadata, in lookup order.

    RFC 8414 puts the well-known part before the issuer's path (section 3.1), also that of OpenID
    Connect (section 5). OpenID Connect Discovery section 4 puts it after the path. MCP requires
    this order.
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    paths = (
        f"/.well-known/oauth-authorization-server{path}",
        f"/.well-known/openid-configuration{path}",
        f"{path}/.well-known/openid-configuration",
    )
    return tuple(urlunsplit(parts._replace(path=each)) for each in dict.fromkeys(paths))


@dataclass(slots=True)
class _Look:
    """The latest result of one URL.

    Attributes:
        address: The URL.
        said: A description of the result, for the error.
        again: Whether a retry may succeed.
        failure: The exception, if there was no response.
        status: The HTTP status, or None.
        wait: Retry-After in seconds, or None.
        found: The metadata, if it belongs to this issuer.
        named: The other issuer that the metadata names, or empty.
        shown: The start of an unusable document.
    """

    address: str
    said: str = "was not requested before the timeout"
    again: bool = True
    failure: TransportError | None = None
    status: int | None = None
    wait: float | None = None
    found: dict[str, Any] | None = field(default=None, repr=False)
    named: str = ""
    shown: str = ""


def read_metadata(
    issuer: str, expected: str, transport: Transport, deadline: Deadline
) -> dict[str, Any]:
    """Return the metadata of an issuer from the first URL that has it.

    Each URL is requested up to three times if it fails with a transient error.

    Args:
        issuer: The issuer, from which the URLs are derived.
        expected: The issuer that the metadata must name.
        transport: Sends the requests.
        deadline: The deadline for all requests.

    Raises:
        ProviderUnavailableError: the provider is busy.
        ResponseInvalidError: no URL returned this issuer's metadata. The message lists what each
            returned.
        TransportError: the provider could not be reached.
    """
    looks = [_Look(address) for address in well_known_addresses(issuer)]
    for turn in range(_ROUNDS):
        for look in looks:
            if not look.again or deadline.remaining() <= 0:
                continue
            _ask(look, expected, transport, deadline)
            if look.found is not None:
                return look.found
        wait = random.uniform(0, _BASE * 2**turn)  # noqa: S311 - jitter, not a secret
        wait = max([wait, *(look.wait or 0.0 for look in looks)])
        again = any(look.again for look in looks)
        if not again or wait > _LONGEST_WAIT or wait >= deadline.remaining():
            break
        if turn < _ROUNDS - 1:
            deadline.wait(wait)
    raise _failure(issuer, looks)


def _ask(look: _Look, expected: str, transport: Transport, deadline: Deadline) -> None:
    look.failure, look.wait = None, None
    try:
        response = read_document(look.address, transport, deadline, "/.well-known/")
    except RedirectRefusedError as elsewhere:
        # Many sites redirect unknown URLs to a login page.
        look.status, look.again = elsewhere.evidence.status, False
        look.said = f"returned {look.status}, a redirect"
    except (ConnectionFailedError, OutcomeUnknownError) as failure:
        look.status, look.failure = failure.evidence.status, failure
        look.said = "returned no response"
    except TransportError as unusable:
        look.status, look.again = unusable.evidence.status, False
        look.said = "returned a response that is too large"
    else:
        look.status = response.status
        _judge(look, response, expected)


def _judge(look: _Look, response: HttpResponse, expected: str) -> None:
    look.again = False
    if response.status != _OK:
        look.said = f"returned {response.status}"
        status, headers = response.status, response.headers
        look.again = is_refused(status, "", headers, {}) or is_failed(status, "", headers, {})
        look.wait = retry_after(response.headers) if look.again else None
        return
    found = json_object(response.body)
    if found is None:
        look.said = "returned 200, but not a JSON object"
        look.shown = excerpt(response.body)
        return
    # RFC 8414 section 3.3: metadata of another issuer could send our secrets there.
    named = found.get("issuer")
    if named != expected:
        look.named = printable(named)[:_SHOWN] if isinstance(named, str) else ""
        look.said = f"names the issuer {look.named!r}" if look.named else "names no issuer"
        return
    look.found = found


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a response, or None if it has none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _failure(issuer: str, looks: list[_Look]) -> TransportError:
    told = "; ".join(f"{urlsplit(look.address).path} {look.said}" for look in looks)
    answered = [look for look in looks if look.status is not None]
    evidence = Evidence(
        provider=urlsplit(issuer).netloc,
        status=answered[-1].status if answered else None,
        step="discovery",
    )
    lost = [look.failure for look in looks if look.failure is not None]
    if lost and not answered:
        return type(lost[0])(f"Discovery of {issuer} failed: {lost[0]}", evidence=evidence)
    text = f"Discovery of {issuer} failed: {told}."
    if named := next((look.named for look in looks if look.named), ""):
        text += (
            f" The issuer must be the same, also in the slash at the end. Pass {named!r} as issuer."
            if named.rstrip("/") == issuer.rstrip("/")
            else " If the document's issuer is the right one, use exactly that address. If the "
            "provider names another issuer on purpose, as Microsoft Entra does for 'common', "
            f"Provider.discover accepts expected_issuer={named!r}."
        )
    elif any(look.status in REFUSED for look in answered):
        waits = [look.wait for look in answered if look.wait is not None]
        when = f"in {max(waits):g} s" if waits else "later"
        return ProviderUnavailableError(
            f"{text} Try again {when}.", retry_after=max(waits, default=None), evidence=evidence
        )
    shown = next((look.shown for look in looks if look.shown), "")
    return ResponseInvalidError(text, excerpt=shown, evidence=evidence)
