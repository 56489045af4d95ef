"""Render the pages and set their security headers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from grantway_plugins.issuer._decisions.openid import DESCRIPTIONS
from grantway_plugins.issuer._extensions.view import View
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


@lru_cache(256)
def _compiled(source: str) -> Template:
    return _TEMPLATES.from_string(source)


class Renderer:
    """Renders the pages of one issuer.

    Args:
        settings: The issuer's name, URL and scope descriptions.
    """

    def __init__(self, settings: IssuerSettings) -> None:
        url = urlsplit(settings.url)
        #: Path of the issuer's URL, without a final slash.
        self.base = url.path.rstrip("/")
        self._descriptions = {**DESCRIPTIONS, **settings.scope_descriptions}
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

    def view(self, view: View, path: str, csrf: str, *, leads_to_client: bool = False) -> Response:
        """Render the page of a plugin.

        Args:
            view: The content.
            path: Path of the page, without the issuer's path.
            csrf: The CSRF token of its form.
            leads_to_client: As for ``page``, in addition to the view's own.
        """
        forms = _TEMPLATES.get_template("extension_form.html")
        form = forms.make_module({"action": f"{self.base}{path}", "csrf": csrf}).form  # type: ignore[attr-defined]
        content = _compiled(view.template).render({**view.values, "form": form})
        return self.page(
            "extension.html",
            view.status,
            leads_to_client=leads_to_client or view.leads_to_client,
            title=view.title,
            content=Markup(content),  # noqa: S704 - rendered with escaping
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
