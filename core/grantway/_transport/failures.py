"""Turn failures of a request into exceptions that say whether it was sent."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from grantway._exceptions import (
    ConnectionFailedError,
    Evidence,
    OutcomeUnknownError,
    RedirectRefusedError,
    ResponseTooLargeError,
    TransportError,
)
from grantway._secrets.redaction import visible

from .codec import InvalidResponseError
from .connecting import ProxyRejectedError
from .deadline import Deadline
from .http import HttpRequest
from .network import Network
from .proxies import ProxyChoice
from .sending import Sending

#: The status with which a proxy requires a login.
PROXY_LOGIN = 407
#: Methods that change nothing, so that trying again is safe even if the request was sent.
READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: Maximum characters of a URL in an error.
_SHOWN = 200


def deadline_error(deadline: Deadline) -> ConnectionFailedError:
    """Return the error for a deadline that passed before the request was sent."""
    return ConnectionFailedError(
        f"The deadline of {deadline.seconds:g} s passed before the request was sent. Try again, or "
        "use a longer timeout.",
        failed="timeout",
    )


def too_large_error(status: int, headers: Mapping[str, str], limit: int) -> ResponseTooLargeError:
    """Return the error for a response that exceeds the limit."""
    return ResponseTooLargeError(
        f"The response is larger than {limit} bytes; the rest was not read.",
        evidence=Evidence(status=status, headers=headers),
    )


def redirect_error(status: int, headers: Mapping[str, str]) -> RedirectRefusedError:
    # The query of a redirect may contain a code or token, so the error omits it.
    location = headers.get("location", "")
    where = _place(location)
    return RedirectRefusedError(
        f"The endpoint returned {status} with a redirect to {where or 'an empty URL'}. Secrets are "
        "not sent to another URL; if it is the right one, configure it as the endpoint.",
        location=where if where == location else "",
        evidence=Evidence(status=status),
    )


def _place(location: str) -> str:
    """Return the scheme, host, port and path of a URL, for messages."""
    try:
        target = urlsplit(location)
        port = f":{target.port}" if target.port is not None else ""
    except ValueError:
        return "an invalid URL"
    host = f"{target.scheme}://{target.hostname}{port}" if target.hostname else ""
    return visible(f"{host}{target.path}")[:_SHOWN]


def host_of(request: HttpRequest) -> str:
    """Return the host and port of a request, without credentials."""
    return urlsplit(request.url).netloc.rpartition("@")[2]


def failure_error(
    error: Exception,
    sending: Sending,
    request: HttpRequest,
    proxy: ProxyChoice | None,
    network: Network,
) -> TransportError:
    host = host_of(request)
    if isinstance(error, ProxyRejectedError) and proxy is not None:
        return proxy_error(proxy, error.status, request)
    failed, what = describe(error)
    reads = request.method in READING
    if reads or not sending.may_have_arrived or _rejected_in_handshake(error):
        if sending.reaching_proxy and proxy is not None:
            return ConnectionFailedError(
                f"Could not reach the proxy {proxy.shown} on the way to {host}: {what}. Check "
                f"{proxy.setting}, or name {host} in no_proxy or NO_PROXY to connect directly. "
                "Nothing was sent; trying again is safe.",
                failed="proxy",
            )
        again = "Trying" if reads else "Nothing was sent; trying"
        way = "" if proxy is None else f" through the proxy {proxy.shown} ({proxy.setting})"
        return ConnectionFailedError(
            f"Could not reach {host}{way}: {what}. {_advice(what, network)}{again} again is safe.",
            failed=failed,
        )
    return lost_error(request, failed, what, sending.status)


def lost_error(
    request: HttpRequest, failed: str, what: str, status: int | None
) -> OutcomeUnknownError:
    """Return the error for a request that was sent, and whose response was lost."""
    return OutcomeUnknownError(
        f"The request was sent to {host_of(request)} but the response was lost: "
        f"{what}. The provider may have processed it. You may try your refresh token once more; a "
        "single-use code may be used up, so log in again if it is rejected.",
        failed=failed,
        evidence=Evidence(status=status),
    )


def proxy_error(proxy: ProxyChoice, status: int, request: HttpRequest) -> ConnectionFailedError:
    """Return the error for a proxy that did not forward the request to the provider."""
    host = host_of(request)
    if status == PROXY_LOGIN:
        advice = (
            f"put a user name and password into {proxy.setting}: http://USER:PASSWORD@HOST:PORT"
        )
    else:
        advice = (
            f"check {proxy.setting} and that the proxy allows {host}, or name {host} in no_proxy "
            "or NO_PROXY to connect directly"
        )
    problem = "requires a login" if status == PROXY_LOGIN else "does not connect"
    return ConnectionFailedError(
        f"The proxy {proxy.shown} {problem} on the way to {host} (status {status}): {advice}. "
        "Nothing was sent.",
        failed="proxy",
    )


def _rejected_in_handshake(error: Exception) -> bool:
    """Return whether the server required a client certificate.

    In TLS 1.3, a client sends its request before it learns that the server ended the handshake.
    """
    import ssl  # noqa: PLC0415 - only failures and TLS need it

    return isinstance(error, ssl.SSLError) and error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def _advice(what: str, network: Network) -> str:
    """Return the advice for a TLS failure."""
    if "certificate" not in what.lower():
        return ""
    if "CERTIFICATE_REQUIRED" in what or "BAD_CERTIFICATE" in what:
        return "The server requires a client certificate: set client_certificate. "
    if network.trusted is None:
        return (
            "If the server's certificate comes from a private authority, set ca_bundle, or the "
            "variable SSL_CERT_FILE, to the authority's certificate. "
        )
    return (
        f"The trusted certificates are those in {network.trusted} ({network.trusted_by}); add the "
        "server's authority to them. "
    )


def describe(error: BaseException) -> tuple[str, str]:
    """Return what failed (see ``TransportError.failed``) and a description."""
    import ssl  # noqa: PLC0415 - only failures and TLS need it

    if isinstance(error, TimeoutError):
        return "timeout", "timed out"
    if isinstance(error, ssl.SSLError):
        why = getattr(error, "verify_message", "") or error.reason or "connection closed"
        if why in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
            why = "the response is not TLS; check the port, and https in the address"
        return "tls", f"TLS failed ({why})"
    if isinstance(error, InvalidResponseError):
        return "connection", str(error)
    if isinstance(error, OSError) and error.strerror:
        file = f" ({error.filename})" if error.filename else ""
        return "connection", f"{error.strerror.lower()}{file}"
    return "connection", type(error).__name__
