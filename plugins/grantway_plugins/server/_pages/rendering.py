"""Render pages and set their security headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import RedirectResponse, Response

_PACKAGE = "grantway_plugins.server._pages"


@dataclass(frozen=True, slots=True)
class Link:
    """A link to the next step."""

    href: str
    text: str


def templates_of(package: str) -> Environment:
    """Return the templates of a package, which can extend the common ones."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_PACKAGE)]),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
    )


def static_file(content: str, media_type: str) -> Response:
    """Return a public file that pages load."""
    return Response(
        content,
        media_type=media_type,
        headers={"cache-control": "max-age=3600", "x-content-type-options": "nosniff"},
    )


def stylesheet() -> str:
    """Return the stylesheet of all pages."""
    return (resources.files(_PACKAGE) / "templates" / "pages.css").read_text("utf-8")


class PageRenderer:
    """Renders the pages of one site.

    Args:
        templates: The templates.
        common: Variables of all templates: ``site_name``, ``site_host``, ``home`` (path of the
            start page) and ``stylesheet`` (path of the stylesheet) for the layout, and others.
    """

    def __init__(self, templates: Environment, common: Mapping[str, str]) -> None:
        self._templates = templates
        self._common = common

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
            leads_to_client: Whether submitting the form leads to another site. The header then
                omits ``form-action``: Chrome also applies it to redirects, and this site does not
                know where the other one redirects to.
            scripts: Whether the page may load this site's scripts.
            values: Variables of the template.
        """
        policy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        if not leads_to_client:
            policy += "; form-action 'self'"
        if scripts:
            policy += "; script-src 'self'"
        page = self._templates.get_template(template).render(self._common, **values)
        return Response(
            page.encode("utf-8", "replace"),  # JSON of other servers may contain lone surrogates
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

    def redirect(self, url: str) -> Response:
        """Return a redirect to an address that has been checked."""
        response = RedirectResponse(url, 303)
        # Starlette would quote the URL, but it must be exactly as the client registered it.
        response.headers["location"] = url
        response.headers["cache-control"] = "no-store"
        response.headers["referrer-policy"] = "no-referrer"
        return response

    def message(
        self, title: str, text: str, status: int = 200, *, next_step: Link | None = None
    ) -> Response:
        """Render a page with a message and a next step.

        Args:
            title: The heading.
            text: What happened, and what the user can do.
            status: The HTTP status.
            next_step: The next step; by default the start page.
        """
        link = next_step or Link(self._common["home"], "Go to the start page")
        return self.page("message.html", status, title=title, text=text, next_step=link)

    def stale(self, next_step: Link) -> Response:
        """Render the response to a form that was not shown to this browser."""
        return self.message(
            "This form is out of date",
            "The server was restarted, or your browser sent no cookie. Nothing was done. Open the "
            "page again and repeat your choice.",
            403,
            next_step=next_step,
        )
