"""Where tokens are used: a credential as the authentication of other libraries.

::

    from grantway_plugins.auth import RequestsAuth

    requests.get("https://api.example.com/things", auth=RequestsAuth(credential))

``RequestsAuth`` needs nothing but grantway, ``HttpxAuth`` its extra ``httpx``, and
``BotocoreTokenProvider`` its extra ``aws``. What they have in common is ``Bearer``, which sends
nothing itself and serves any other HTTP library. Importing the package loads none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bearer import Bearer, Presentation, TokenSource
    from .botocore_token import BotocoreTokenProvider
    from .httpx_auth import HttpxAuth
    from .requests_auth import RequestsAuth

_HOME = {
    "Bearer": "bearer",
    "BotocoreTokenProvider": "botocore_token",
    "HttpxAuth": "httpx_auth",
    "Presentation": "bearer",
    "RequestsAuth": "requests_auth",
    "TokenSource": "bearer",
}

__all__ = [
    "Bearer",
    "BotocoreTokenProvider",
    "HttpxAuth",
    "Presentation",
    "RequestsAuth",
    "TokenSource",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
