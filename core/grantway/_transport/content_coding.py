"""Decompress responses (RFC 9110 section 8.4).

grantway requests ``identity``, but some servers and proxies compress anyway, and the token must not
be lost. The size of the output is limited.
"""

from __future__ import annotations

from grantway._exceptions import Evidence, ResponseTooLargeError

from .codec import InvalidResponseError
from .http import HttpResponse

_GZIP_MAGIC = b"\x1f\x8b"
#: Codings that zlib supports; ``br`` and ``zstd`` need other libraries.
_CODINGS = frozenset({"deflate", "gzip", "x-gzip"})
#: Maximum nested codings, and maximum members of a gzip stream.
_MOST_CODINGS, _MOST_MEMBERS = 4, 64
#: zlib detects gzip and zlib headers; some servers send raw ``deflate`` without a header.
_WITH_HEADER, _RAW = 32 + 15, -15


class _TooLargeError(Exception):
    """The decompressed data exceeds the limit."""


def decompressed(
    status: int, headers: dict[str, str], body: bytes, limit: int
) -> HttpResponse | ResponseTooLargeError:
    """Return a response with its body decompressed, or the error if that exceeds the limit.

    The error is not raised here, because its traceback would show the headers and the body.

    Args:
        status: The HTTP status.
        headers: The headers, lower-case names. ``content-encoding`` is reduced to the codings that
            remain.
        body: The received body.
        limit: Maximum size of the decompressed body in bytes.

    Raises:
        InvalidResponseError: the compressed data is truncated.
    """
    coding = headers.pop("content-encoding", "")
    if not coding and not body.startswith(_GZIP_MAGIC):
        return HttpResponse(status, headers, body)
    try:
        body, coding = _decompress(body, coding, limit)
    except _TooLargeError:
        return ResponseTooLargeError(
            f"The response is compressed and larger than {limit} bytes when decompressed; the rest "
            "was not read.",
            evidence=Evidence(status=status, headers=headers),
        )
    if coding:
        headers["content-encoding"] = coding
    return HttpResponse(status, headers, body)


def _decompress(body: bytes, coding: str, limit: int) -> tuple[bytes, str]:
    """Return the decompressed body and the remaining codings."""
    codings = [name for each in coding.split(",") if (name := each.strip().lower())]
    codings = [name for name in codings if name != "identity"]
    if not codings and body.startswith(_GZIP_MAGIC):
        codings = ["gzip"]
    for _ in range(_MOST_CODINGS):
        if not codings or codings[-1] not in _CODINGS or body.lstrip()[:1] in (b"{", b"["):
            break
        inflated = _inflate(body, limit)
        if inflated is None:
            break
        body = inflated
        codings.pop()
    return body, ", ".join(codings)


def _inflate(body: bytes, limit: int) -> bytes | None:
    import zlib  # noqa: PLC0415 - few responses are compressed

    for window in (_WITH_HEADER, _RAW):
        try:
            return _undo(body, window, limit)
        except zlib.error:
            continue
    return None


def _undo(body: bytes, window: int, limit: int) -> bytes:
    import zlib  # noqa: PLC0415 - as above

    out = bytearray()
    for _ in range(_MOST_MEMBERS):
        stream = zlib.decompressobj(window)
        out += stream.decompress(body, limit + 1 - len(out))
        if len(out) > limit:
            raise _TooLargeError
        if not stream.eof:
            raise InvalidResponseError("the response was truncated")
        body = stream.unused_data
        if not body.startswith(_GZIP_MAGIC):
            break
    return bytes(out)
