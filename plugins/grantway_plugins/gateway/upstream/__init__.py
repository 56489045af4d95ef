"""Tokens for the requests that a gateway forwards, many tenants at once.

``UpstreamAuth`` holds the rules. ``RequestsUpstreamAuth``, ``HttpxUpstreamAuth`` (extra ``httpx``),
``AsgiUpstreamAuth`` and ``WsgiUpstreamAuth`` use them. Importing the package loads none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asgi_middleware import AsgiUpstreamAuth
    from .exchange import TokenExchange
    from .facts import Facts
    from .httpx_adapter import HttpxUpstreamAuth
    from .injection import Injection
    from .observer import Observer
    from .refusal import RequestRefusedError, answer_for
    from .requests_adapter import RequestsUpstreamAuth
    from .route import Route
    from .tenant import TenantRule, from_header, from_host, from_path, from_principal, single
    from .upstream_auth import UpstreamAuth
    from .wsgi_middleware import WsgiUpstreamAuth

_HOME = {
    "AsgiUpstreamAuth": "asgi_middleware",
    "Facts": "facts",
    "HttpxUpstreamAuth": "httpx_adapter",
    "Injection": "injection",
    "Observer": "observer",
    "RequestRefusedError": "refusal",
    "RequestsUpstreamAuth": "requests_adapter",
    "Route": "route",
    "TenantRule": "tenant",
    "TokenExchange": "exchange",
    "UpstreamAuth": "upstream_auth",
    "WsgiUpstreamAuth": "wsgi_middleware",
    "answer_for": "refusal",
    "from_header": "tenant",
    "from_host": "tenant",
    "from_path": "tenant",
    "from_principal": "tenant",
    "single": "tenant",
}

__all__ = [
    "AsgiUpstreamAuth",
    "Facts",
    "HttpxUpstreamAuth",
    "Injection",
    "Observer",
    "RequestRefusedError",
    "RequestsUpstreamAuth",
    "Route",
    "TenantRule",
    "TokenExchange",
    "UpstreamAuth",
    "WsgiUpstreamAuth",
    "answer_for",
    "from_header",
    "from_host",
    "from_path",
    "from_principal",
    "single",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
