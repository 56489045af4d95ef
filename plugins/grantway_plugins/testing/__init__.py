"""pytest fixtures for the authors of plugins, which installing grantway brings.

``plugin`` is what pytest loads when it starts, so it loads nothing itself: a suite that uses no
fixture of it pays for no import. What needs no plugin of grantway's own is in ``grantway.testing``.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._live_issuer import LiveIssuer as LiveIssuer

__getattr__, __dir__ = lazy(
    __name__,
    {
        "._live_issuer": "LiveIssuer",
    },
)
