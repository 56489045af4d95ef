"""A gateway whose users log in at one issuer, and connect accounts at another one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests

from grantway_plugins.issuer import IssuerServer
from grantway_plugins.stores import generate_key
from tests.faults import free_port
from tests.plugins.gateway.running.programs import EchoUpstream, GatewayProcess, gateway
from tests.plugins.gateway.servers import asgi_server
from tests.plugins.issuer.conftest import Caller
from tests.plugins.issuer.login.conftest import PASSWORD, issuer_with_login
from tests.plugins.issuer.login.visitor import Shown, Visitor
from tests.waiting import PATIENCE

_FORM = re.compile(r"<form\b[^>]*action=\"([^\"]*)\"[^>]*>(.*?)</form>", re.DOTALL)
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Site:
    """A running gateway with its issuers.

    Attributes:
        url: URL of the gateway.
        gateway: The process.
        staff: The issuer at which users log in to the gateway.
        shop: The provider at which they connect accounts.
        echo: The upstream server.
        config: The gateway's file.
        app: A client at ``staff`` that gets access tokens of users.
    """

    url: str
    gateway: GatewayProcess
    staff: IssuerServer
    shop: IssuerServer
    echo: EchoUpstream
    config: Path
    app: Caller

    def page(self, provider: str = "shop") -> str:
        """Return the URL of a provider's page."""
        return f"{self.url}/connect/{provider}"

    def logged_in(self, user: str) -> Visitor:
        """Return the browser of a user who is logged in to the pages."""
        visitor = Visitor()
        shown = log_in(visitor, visitor.open(f"{self.url}/connect"), user)
        named = f'You are logged in as <strong dir="auto">{user.title()}</strong>'
        assert named in shown.text, (shown, shown.text, self.gateway.log)
        return visitor

    def token(self, user: str) -> str:
        """Return an access token of a user for the gateway."""
        with Visitor() as visitor:
            page = log_in(visitor, visitor.open(self.app.authorize_url(scope="openid")), user)
            assert page.query["code"], page
            return str(self.app.redeem(page.query["code"]).json()["access_token"])

    def call(self, method: str, path: str, token: str = "", **options: Any) -> requests.Response:
        """Send a request of a program."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        return requests.request(
            method,
            f"{self.url}{path}",
            headers=headers,
            timeout=PATIENCE,
            allow_redirects=False,
            **options,
        )


def submit(visitor: Visitor, page: Shown, action: str, *, until: str = "", **typed: str) -> Shown:
    """Submit the form of a page whose action ends with a text."""
    for target, content in _FORM.findall(page.text):
        if target.endswith(action):
            found = _CSRF.search(content)
            fields = {"csrf": found[1]} if found else {}
            url = urljoin(page.url, target)
            return visitor._follow("post", url, {**fields, **typed}, until)
    raise AssertionError(page.text)


def log_in(visitor: Visitor, page: Shown, user: str, *, until: str = "") -> Shown:
    """Fill in forms of issuers, and allow what they ask, until another site or page follows."""
    for _ in range(6):
        if "<h1>Log in</h1>" in page.text:
            page = visitor.submit(page, until=until, user=user, password=PASSWORD)
        elif "to act for you?" in page.text:
            page = visitor.submit(page, until=until, decision="approve")
        else:
            return page
    raise AssertionError(page.text)


def connect(visitor: Visitor, site: Site, account: str, *, until: str = "") -> Shown:
    """Connect an account at the shop, or stop before an address is opened."""
    page = submit(visitor, visitor.open(site.page()), "/connect/shop", until=until)
    return log_in(visitor, page, account, until=until)


@contextmanager
def running_site(
    folder: Path,
    *,
    more: str = "",
    connections: str = "",
    store: str = "",
    host: str = "127.0.0.1",
    front: int = 0,
) -> Iterator[Site]:
    """Run a gateway and its issuers.

    Args:
        folder: Folder for the file.
        more: More tables of the file.
        connections: More keys of ``[connections]``.
        host: Host of the gateway in its URL. Browsers count ``localhost`` as another site.
        front: Port of a proxy in front of the gateway, which its URL names; 0 for none.
        store: ``store`` in ``[gateway]``, in which FOLDER is replaced; memory by default.
    """
    port, echo = free_port(), EchoUpstream()
    url = f"http://{host}:{front or port}"
    openid = "openid profile email"
    with (
        issuer_with_login(time.time, name="Staff", access_token_format="jwt") as staff,
        issuer_with_login(time.time, name="Shop") as sold,
        Caller(staff.url) as app,
        Caller(staff.url) as pages,
        Caller(sold.url) as at_shop,
        asgi_server(echo) as upstream,
    ):
        app.register_rfc(scope=openid)
        pages.register_rfc(scope=openid, redirect_uris=[f"{url}/connect/-/callback"])
        grants = [
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ]
        at_shop.register_rfc(
            scope=f"{openid} orders",
            redirect_uris=[f"{url}/connect/{each}/callback" for each in ("shop", "other")],
            grant_types=grants,
        )
        client = f'client_id = "{at_shop.id}"\nclient_secret = "{at_shop.secret}"\n'
        config = folder / "gateway.toml"
        config.write_text(f"""\
[gateway]
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:0"
store = {store.replace("FOLDER", str(folder)) or '"memory"'}

[inbound]
resource = "{url}/api"
[[inbound.issuer]]
issuer = "{staff.url}"
audiences = ["{staff.url}"]

[connections]
url = "{url}"
key = "{generate_key()}"
login = {{ issuer = "{staff.url}", client_id = "{pages.id}", client_secret = "{pages.secret}" }}
recheck = 1
{connections}
[connections.providers.shop]
name = "Shop"
scope = ["openid", "email", "orders"]

[providers.shop]
issuer = "{sold.url}"
{client}
[routes.orders]
path = "/orders"
upstream = "{upstream}"
provider = "shop"
grant = "connection"
tenant = "user"
on_failure = "closed"
{more.replace("CLIENT", client).replace("SHOP", sold.url)}
""")
        with gateway(config) as running:
            yield Site(url, running, staff, sold, echo, config, app)
            for secret in (at_shop.secret, pages.secret, "code=", "state=", "gwa_", "gwr_"):
                assert secret not in running.log
