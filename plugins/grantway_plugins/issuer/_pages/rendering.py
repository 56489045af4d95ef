"""Render the pages and set their security headers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import Response

from grantway_plugins.issuer._settings import IssuerSettings

_TEMPLATES = Environment(
    loader=PackageLoader("grantway_plugins.issuer._pages"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
)


@dataclass(frozen=True, slots=True)
class Link:
    """A link to the next step."""

    href: str
    text: str


@dataclass(frozen=True, slots=True)
class ShownScope:
    """A scope as the pages show it; ``description`` is empty if the operator gave none."""

    name: str
    description: str


class Renderer:
    """Renders the pages of one issuer.

    Args:
        settings: The issuer's name, URL and scope descriptions.
    """

    def __init__(self, settings: IssuerSettings) -> None:
        url = urlsplit(settings.url)
        #: Path of the issuer's URL, without a final slash.
        self.base = url.path.rstrip("/")
        self._descriptions = settings.scope_descriptions
        self._common = {
            "issuer_name": settings.name,
            "issuer_host": url.netloc,
            "base": self.base,
        }

    def scopes(self, names: Iterable[str]) -> list[ShownScope]:
        """Return the scopes with their descriptions."""
        return [ShownScope(name, self._descriptions.get(name, "")) for name in names]

    def page(
        self,
        template: str,
        status: int = 200,
        *,
        leads_to_client: bool = False,
        scripts: bool = False,
        **values: Any,
    ) -> Response:
        """Render a page.

        Args:
            template: The template's file name.
            status: The HTTP status.
            leads_to_client: Whether submitting the form leads to the client. The header then omits
                ``form-action``: Chrome also applies it to redirects, and the issuer does not know
                where the client redirects to.
            scripts: Whether the page may load the issuer's script.
            values: Variables of the template.
        """
        policy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        if not leads_to_client:
            policy += "; form-action 'self'"
        if scripts:
            policy += "; script-src 'self'"
        return Response(
            _TEMPLATES.get_template(template).render(self._common, **values),
            status,
            media_type="text/html",
            headers={
                "cache-control": "no-store",
                "content-security-policy": policy,
                "cross-origin-opener-policy": "same-origin",
                "referrer-policy": "no-referrer",
                "x-content-type-options": "nosniff",
                "x-frame-options": "DENY",
            },
        )

    def message(
        self, title: str, text: str, status: int = 200, *, next_step: Link | None = None
    ) -> Response:
        """Render a page with a message and a next step.

        Args:
            title: The heading.
            text: What happened, and what the user can do.
            status: The HTTP status.
            next_step: The next step; by default the issuer's start page.
        """
        link = next_step or Link(f"{self.base}/", "Go to the start page")
        return self.page("message.html", status, title=title, text=text, next_step=link)

    def stale(self, next_step: Link) -> Response:
        """Render the response to a form that was not shown to this browser."""
        return self.message(
            "This form is out of date",
            "The issuer was restarted, or your browser sent no cookie. Nothing was done. Open the "
            "page again and repeat your choice.",
            403,
            next_step=next_step,
        )

    def nothing_chosen(self) -> Response:
        """Render the response to a form that was submitted without a decision."""
        return self.message(
            "Nothing was chosen", "Go back in your browser and press Allow or Deny.", 400
        )
