"""AWS's SSO-OIDC: its dialect, and a drop-in for ``boto3.client("sso-oidc")``.

::

    from grantway_plugins import sso_oidc

    client = sso_oidc.client(region_name="eu-west-1")
    registration = client.register_client(clientName="my-tool", clientType="public")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .drop_in import SSOOIDCClient, client

__all__ = ["SSOOIDCClient", "client"]


def __getattr__(name: str) -> Any:
    """Load the client when it is first asked for; the dialect alone needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    module = import_module(f"{__name__}.drop_in")
    globals().update({public: getattr(module, public) for public in __all__})
    return globals()[name]
