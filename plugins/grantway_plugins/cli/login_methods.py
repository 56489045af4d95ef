"""How a person logs in here: in a browser of this machine, on another device, or by pasting."""

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

Way = Literal["browser", "device", "paste"]

#: Files by which a container is known.
_CONTAINERS = ("/.dockerenv", "/run/.containerenv")


@dataclass(frozen=True, slots=True)
class Choice:
    """A way, and why it was chosen.

    Attributes:
        way: The way.
        reason: What was noticed; empty where nothing was.
    """

    way: Way
    reason: str = ""


def choose(
    provider: Provider,
    redirect_uri: str,
    environ: Mapping[str, str] | None = None,
    *,
    listens: bool = False,
) -> Choice:
    """The way that works here.

    Args:
        provider: What it offers counts.
        redirect_uri: Where a browser comes back to.
        environ: The environment; by default this process's.
        listens: Whether it is set where to listen for the browser, wherever that runs.

    Raises:
        ConfigurationError: the provider offers no login for people.
    """
    device = provider.device_authorization_endpoint is not None
    if provider.authorization_endpoint is None:
        if not device:
            raise ConfigurationError(
                f"{provider.host} has neither an authorization_endpoint nor a "
                "device_authorization_endpoint, so it has no login. Add one of them to "
                "provider in the profile, or set a grant that works without a login."
            )
        return Choice("device", "the provider offers no browser login")
    if listens:
        return Choice("browser")
    elsewhere = why_no_browser(os.environ if environ is None else environ)
    if elsewhere:
        return Choice("device" if device else "paste", elsewhere)
    if not is_loopback(urlsplit(redirect_uri).hostname or ""):
        return Choice("paste", "the redirect_uri is on another machine")
    return Choice("browser")


def require_endpoint(provider: Provider, way: Way) -> None:
    """Check that the provider offers a way to log in.

    Raises:
        ConfigurationError: it does not; says which way it offers.
    """
    needed, others = "authorization_endpoint", "--device"
    if way == "device":
        needed, others = "device_authorization_endpoint", "--browser or --paste"
    if getattr(provider, needed) is None:
        raise ConfigurationError(
            f"{provider.host} has no {needed}, which --{way} needs. Use {others}, or add "
            f"{needed} to provider in the profile."
        )


def why_no_browser(environ: Mapping[str, str]) -> str:
    """What speaks against a browser on this machine that could come back to this program.

    Args:
        environ: The environment.
    """
    if any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")):
        return "this is an SSH session"
    if environ.get("BROWSER"):  # somebody has said which
        return ""
    told = environ.get("KUBERNETES_SERVICE_HOST") or environ.get("container")
    if told or any(Path(file).exists() for file in _CONTAINERS):
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
