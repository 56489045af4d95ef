"""The percent-encoded path of a request, which frameworks replace with the decoded one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

#: Keys of the undecoded path in the WSGI environ.
RAW_KEYS = ("RAW_URI", "REQUEST_URI")


def encoded(path: str | bytes) -> str:
    """Return a decoded path with percent-encoding."""
    return quote(path, safe="/~!$&'()*+,;=:@") or "/"


def asgi_raw_path(scope: Mapping[str, Any]) -> str:
    """Return the path of an ASGI request as it was received, without the query."""
    raw, path = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1"), scope["path"]
    # Other middleware may have changed only the decoded path.
    return raw if raw == path or unquote(raw) == path else encoded(path)


def wsgi_raw_path(environ: Mapping[str, Any]) -> str:
    """Return the path of a WSGI request as it was received, without the query."""
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    raw = next((environ[key] for key in RAW_KEYS if environ.get(key)), "").partition("?")[0]
    # Other middleware may have changed only the decoded path.
    return raw if raw and unquote_to_bytes(raw) == path else encoded(path)
