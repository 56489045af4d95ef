"""The HTTP/1.1 server that the issuer and the gateway share.

``Limits`` configures a listener. ``HttpProtocol`` fixes uvicorn's handling of requests that offer a
protocol upgrade. ``JsonFormatter`` writes JSON log lines. All are imported on first use.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._listening.limits import Limits as Limits
    from ._listening.protocol import HttpProtocol as HttpProtocol
    from ._log_format import JsonFormatter as JsonFormatter

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._listening.limits": "Limits",
            "._listening.protocol": "HttpProtocol",
            "._log_format": "JsonFormatter",
        },
    )
