"""Render the issuer's pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from jinja2 import Template
from markupsafe import Markup
from starlette.responses import Response

from grantway_plugins.issuer._decisions.openid import DESCRIPTIONS
from grantway_plugins.issuer._extensions.view import View
from grantway_plugins.issuer._settings import IssuerSettings
from grantway_plugins.server._pages.rendering import PageRenderer, templates_of

_TEMPLATES = templates_of("grantway_plugins.issuer._pages")


@dataclass(frozen=True, slots=True)
class ShownScope:
    """A scope as the pages show it; ``description`` is empty if the operator gave none."""

    name: str
    description: str


@lru_cache(256)
def _compiled(source: str) -> Template:
    return _TEMPLATES.from_string(source)


class Renderer(PageRenderer):
    """Renders the pages of one issuer.

    Args:
        settings: The issuer's name, URL and scope descriptions.
    """

    def __init__(self, settings: IssuerSettings) -> None:
        url = urlsplit(settings.url)
        #: Path of the issuer's URL, without a final slash.
        self.base = url.path.rstrip("/")
        self._descriptions = {**DESCRIPTIONS, **settings.scope_descriptions}
        common = {
            "site_name": settings.name,
            "site_host": url.netloc,
            "home": f"{self.base}/",
            "stylesheet": f"{self.base}/static/issuer.css",
            "base": self.base,
        }
        super().__init__(_TEMPLATES, common)

    def scopes(self, names: Iterable[str]) -> list[ShownScope]:
        """Return the scopes with their descriptions."""
        return [ShownScope(name, self._descriptions.get(name, "")) for name in names]

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

    def nothing_chosen(self) -> Response:
        """Render the response to a form that was submitted without a decision."""
        return self.message(
            "Nothing was chosen", "Go back in your browser and press Allow or Deny.", 400
        )
