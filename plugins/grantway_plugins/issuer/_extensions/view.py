"""The results of an extension's page: a view, or a redirect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from grantway_plugins.issuer._storage.records import RegisteredClient

from .errors import InvalidArgumentError
from .status import WITHOUT_CONTENT, check_status


@dataclass(frozen=True, slots=True)
class View:
    """The content of a page.

    ::

        View(
            "Take the gift?",
            "<p>{{ giver }} sends you a gift.</p>"
            "{% call form(gift=gift_id) %}"
            '<div class="choices">'
            '<button type="submit" name="decision" value="take" class="allow">Take</button>'
            "</div>{% endcall %}",
            {"giver": name, "gift_id": gift_id},
        )

    Attributes:
        title: The heading.
        template: The content below the heading, as a Jinja template. Values are escaped. ``form``
            is a macro that wraps its content in the page's form, with the CSRF token and a hidden
            field for each argument. Scripts, inline styles and images do not work. The classes
            ``choices``, ``allow``, ``deny``, ``problem``, ``warning`` and ``code`` have the
            issuer's styles.
        values: Variables of the template.
        status: HTTP status from 200 to 599, but not 204, 205 or 304.
        leads_to_client: Whether submitting the form leads to a client by ``Redirect``; otherwise
            browsers block the redirect.
    """

    title: str
    template: str = field(repr=False)
    values: Mapping[str, object] = field(default_factory=dict, repr=False)
    status: int = 200
    leads_to_client: bool = False

    def __post_init__(self) -> None:
        """Validate the status."""
        check_status(self.status)
        if self.status in WITHOUT_CONTENT:
            raise InvalidArgumentError(f"status {self.status} is for responses without a page")


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the browser to another page of the issuer, or back to a client.

    Attributes:
        to: A path below the issuer's URL, such as ``/device``; with ``client``, a redirect URI that
            the client registered. Other addresses are an error, so that the issuer does not become
            an open redirector.
        params: Parameters to add to the query, such as ``code`` and ``state``.
        client: The client to return to.
    """

    to: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    client: RegisteredClient | None = None
