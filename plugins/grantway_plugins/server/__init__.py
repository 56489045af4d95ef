"""HTTP/1.1 on a network: listeners and limits that the issuer and the gateway share.

``Limits`` sets the limits of a listener. ``HttpProtocol`` makes uvicorn keep the body of a request
that offers another protocol. Importing the package loads neither.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._listening.limits import Limits as Limits
    from ._listening.protocol import HttpProtocol as HttpProtocol
    from ._log_format import JsonFormatter as JsonFormatter

__getattr__, __dir__ = lazy(
    __name__,
    {
        "._listening.limits": "Limits",
        "._listening.protocol": "HttpProtocol",
        "._log_format": "JsonFormatter",
    },
)
