"""AWS's SSO-OIDC: its dialect, a drop-in for ``boto3.client("sso-oidc")``, and AWS's logins.

::

    from grantway_plugins import sso_oidc

    client = sso_oidc.client(region_name="eu-west-1")
    registration = client.register_client(clientName="my-tool", clientType="public")

    with sso_oidc.sso_session("my-session") as session:
        token = session.credential().token()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .drop_in import SSOOIDCClient, client
    from .session import SsoSession, sso_session

__all__ = ["SSOOIDCClient", "SsoSession", "client", "sso_session"]

_HOMES = {
    "SSOOIDCClient": "drop_in",
    "client": "drop_in",
    "SsoSession": "session",
    "sso_session": "session",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it first is; the dialect alone needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
