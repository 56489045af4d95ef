"""Render the pages on which users connect accounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from grantway_plugins.server._pages.rendering import PageRenderer, templates_of

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.settings import ConnectionsSettings

#: File name of the stylesheet below ``-/``.
STYLESHEET = "pages.css"


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)


_TEMPLATES = templates_of("grantway_plugins.gateway._connections._web")
_TEMPLATES.filters["utc"] = _utc


def renderer_of(settings: ConnectionsSettings) -> PageRenderer:
    """Return the renderer of the pages."""
    common = {
        "site_name": "Connected accounts",
        "site_host": urlsplit(settings.url).netloc,
        "home": settings.path,
        "stylesheet": f"{settings.path}/-/{STYLESHEET}",
    }
    return PageRenderer(_TEMPLATES, common)
