"""Choose the login method: this machine's browser, another device, or a pasted address."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from grantway._exceptions import ConfigurationError
from grantway._requests.provider import Provider
from grantway._transport.http import is_loopback

LoginMethod = Literal["browser", "device", "paste"]

#: Files that exist only in containers.
_CONTAINER_MARKERS = ("/.dockerenv", "/run/.containerenv")


@dataclass(frozen=True, slots=True)
class ChosenMethod:
    """A login method, and why it was chosen.

    Attributes:
        method: The login method.
        reason: Why the browser of this machine is not used; empty if it is, or if the user chose.
    """

    method: LoginMethod
    reason: str = ""


def choose(
    provider: Provider,
    redirect_uri: str,
    environ: Mapping[str, str] | None = None,
    *,
    listens: bool = False,
) -> ChosenMethod:
    """Return the login method that works in this environment and with this provider.

    Args:
        provider: The provider.
        redirect_uri: Redirect URI of a browser login.
        environ: Environment variables; by default this process's.
        listens: Whether the profile sets the address to listen on, so that the browser can run
            anywhere.

    Raises:
        ConfigurationError: The provider has no endpoint for interactive logins.
    """
    device = provider.device_authorization_endpoint is not None
    if provider.authorization_endpoint is None:
        if not device:
            raise ConfigurationError(
                f"{provider.host} has neither an authorization_endpoint nor a "
                "device_authorization_endpoint, so you cannot log in to it. Add one of them to "
                "provider in the profile, or set a grant that works without a login."
            )
        return ChosenMethod("device", "the provider offers no browser login")
    if listens:
        return ChosenMethod("browser")
    reason = why_no_browser(os.environ if environ is None else environ)
    if reason:
        return ChosenMethod("device" if device else "paste", reason)
    if not is_loopback(urlsplit(redirect_uri).hostname or ""):
        return ChosenMethod("paste", "the redirect_uri is on another machine")
    return ChosenMethod("browser")


def require_endpoint(provider: Provider, method: LoginMethod) -> None:
    """Check that the provider has the endpoint that a login method needs.

    Raises:
        ConfigurationError: The endpoint is missing; the message suggests other methods.
    """
    needed, others = "authorization_endpoint", "--device"
    if method == "device":
        needed, others = "device_authorization_endpoint", "--browser or --paste"
    if getattr(provider, needed) is None:
        raise ConfigurationError(
            f"{provider.host} has no {needed}, which --{method} needs. Use {others}, or add "
            f"{needed} to provider in the profile."
        )


def why_no_browser(environ: Mapping[str, str]) -> str:
    """Return why this machine's browser cannot be used for a login; empty if it can.

    Args:
        environ: Environment variables.
    """
    if any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")):
        return "this is an SSH session"
    if environ.get("BROWSER"):  # the user chose one
        return ""
    container = environ.get("KUBERNETES_SERVICE_HOST") or environ.get("container")
    if container or any(Path(file).exists() for file in _CONTAINER_MARKERS):
        return "this is a container"
    if sys.platform.startswith("linux") and not (
        environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    ):
        return "there is no display"
    return "" if _has_browser() else "there is no browser"


def _has_browser() -> bool:
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
