"""Headers that only proxies set: hop-by-hop headers, and headers about a request's origin."""

from __future__ import annotations

#: Meant for the next hop only, so never forwarded (RFC 9110 section 7.6.1).
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
#: Describe the message itself; each hop sets them.
_MESSAGE = frozenset(
    {
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"date",
        b"expect",
        b"host",
        b"trailers",
    }
)
_ORIGIN_PREFIXES = (b"x-forwarded-", b"x-original-", b"x-envoy-")
#: Hosting services use different names, such as X-Vercel-Forwarded-For or Do-Connecting-Ip.
_ORIGIN_SUFFIXES = (
    b"-client-ip",
    b"-connecting-ip",
    b"-connection-ip",
    b"-forwarded-for",
    b"-real-ip",
    b"-viewer-address",
)
#: Client address, host, scheme or path as proxies and CDNs pass them on.
_ORIGIN = frozenset(
    {
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
        b"cf-pseudo-ipv4",
        b"client-ip",
        b"fastly-client-ip",
        b"fly-client-ip",
        b"forwarded",
        b"forwarded-for",
        b"front-end-https",
        b"incap-client-ip",
        b"proxy",  # CGI programs read it as HTTP_PROXY
        b"proxy-client-ip",
        b"remote-addr",
        b"true-client-ip",
        b"via",
        b"wl-proxy-client-ip",
        b"x-appengine-user-ip",
        b"x-azure-clientip",
        b"x-azure-socketip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-uri",
        b"x-host",
        b"x-http-host-override",
        b"x-original-host",
        b"x-original-uri",
        b"x-original-url",
        b"x-originating-ip",
        b"x-proxyuser-ip",
        b"x-real-ip",
        b"x-real-port",
        b"x-remote-addr",
        b"x-remote-ip",
        b"x-rewrite-url",
        b"x-scheme",
        b"x-true-client-ip",
        b"x-url-scheme",
    }
)
#: The same names with underscores, which some servers treat alike.
UNDERSCORED = tuple(sorted(name.replace(b"-", b"_") for name in _ORIGIN if b"-" in name))
_HYPHENS = bytes(
    each if chr(each).isascii() and chr(each).isalnum() else ord("-") for each in range(256)
)


def hyphenated(name: bytes) -> bytes:
    """Return a header's name in lower case with hyphens only.

    Many servers pass ``X_Tenant`` or ``X.Tenant`` to the application under the same name as
    ``X-Tenant``, so names are compared in this form.
    """
    return name.lower().translate(_HYPHENS)


def describes_origin(name: bytes) -> bool:
    """Return whether a header describes the origin of a request, in any spelling."""
    plain = hyphenated(name)
    return (
        plain in _ORIGIN or plain.startswith(_ORIGIN_PREFIXES) or plain.endswith(_ORIGIN_SUFFIXES)
    )


def is_reserved(name: bytes) -> bool:
    """Return whether proxies set or remove a header, in any spelling."""
    plain = hyphenated(name)
    return (
        plain in HOP_BY_HOP
        or plain in _MESSAGE
        or plain.startswith(b"proxy-")
        or describes_origin(plain)
    )
