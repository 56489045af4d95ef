"""Users connect accounts on the pages of a gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugins.gateway.connections.site import Site, connect, running_site, submit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


def test_a_user_connects_uses_and_disconnects_an_account(site: Site) -> None:
    ann = site.token("ann")
    refused = site.call("GET", "/orders/1", ann)
    assert refused.status_code == 403
    assert refused.json() == {
        "error": "connection_required",
        "error_description": f"No account at Shop is connected: connect one at {site.page()}",
        "provider": "shop",
        "connect_url": site.page(),
    }
    visitor = site.logged_in("ann")
    page = connect(visitor, site, "ann.at.shop")
    assert page.status == 200
    assert "Your account at Shop is connected as ann.at.shop." in page.text
    assert "code=" not in page.url
    sent = site.call("GET", "/orders/1", ann)
    assert sent.status_code == 200, sent.text
    authorization = dict(sent.json()["headers"])["authorization"]
    assert authorization not in {"", f"Bearer {ann}"}
    assert site.call("GET", "/orders/1", site.token("ben")).status_code == 403
    page = submit(visitor, page, "/disconnect")
    assert "is disconnected, and the access is revoked there" in page.text
    assert site.call("GET", "/orders/1", ann).json()["error"] == "connection_required"
