"""Tokens for the requests that a gateway forwards on behalf of many tenants.

``UpstreamAuth`` holds the routes. The adapters ``RequestsUpstreamAuth``, ``HttpxUpstreamAuth``
(extra ``httpx``), ``AsgiUpstreamAuth`` and ``WsgiUpstreamAuth`` add the tokens to requests. Modules
are imported on first use.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._asgi_middleware import AsgiUpstreamAuth as AsgiUpstreamAuth
    from ._httpx_adapter import HttpxUpstreamAuth as HttpxUpstreamAuth
    from ._observer import Observer as Observer
    from ._rejection import (
        RequestRejectedError as RequestRejectedError,
        response_for as response_for,
    )
    from ._request_context import RequestContext as RequestContext
    from ._requests_adapter import RequestsUpstreamAuth as RequestsUpstreamAuth
    from ._route import Route as Route
    from ._tenant import (
        TenantRule as TenantRule,
        from_claim as from_claim,
        from_header as from_header,
        from_host as from_host,
        from_path as from_path,
        from_principal as from_principal,
        from_user as from_user,
        single as single,
    )
    from ._token_exchange import TokenExchange as TokenExchange
    from ._upstream_auth import UpstreamAuth as UpstreamAuth
    from ._upstream_token import UpstreamToken as UpstreamToken
    from ._wsgi_middleware import WsgiUpstreamAuth as WsgiUpstreamAuth

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._asgi_middleware": "AsgiUpstreamAuth",
            "._httpx_adapter": "HttpxUpstreamAuth",
            "._observer": "Observer",
            "._rejection": "RequestRejectedError response_for",
            "._request_context": "RequestContext",
            "._requests_adapter": "RequestsUpstreamAuth",
            "._route": "Route",
            "._tenant": """
                TenantRule
                from_claim
                from_header
                from_host
                from_path
                from_principal
                from_user
                single
            """,
            "._token_exchange": "TokenExchange",
            "._upstream_auth": "UpstreamAuth",
            "._upstream_token": "UpstreamToken",
            "._wsgi_middleware": "WsgiUpstreamAuth",
        },
    )
