"""Users connect accounts through each proxy for which a configuration is printed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.faults import free_port
from tests.interop.proxies import (
    NEEDS_HAPROXY,
    caddy_file,
    envoy_file,
    haproxy_file,
    nginx_http,
    printed,
    traefik_file,
)
from tests.plugins.gateway.connections.site import connect, running_site, submit
from tests.waiting import until

pytestmark = pytest.mark.slow

RUN = {"caddy": caddy_file, "envoy": envoy_file, "nginx": nginx_http, "traefik": traefik_file}


@pytest.mark.parametrize("name", [*RUN, pytest.param("haproxy", marks=NEEDS_HAPROXY)])
def test_a_user_connects_through_a_proxy(name: str, tmp_path: Path) -> None:
    port = free_port()
    authorize = f'[authorize]\nlisten = "127.0.0.1:{free_port()}"\n'
    with running_site(tmp_path, more=authorize, front=port) as site:
        text = printed(name, site.config, port).replace("/run/grantway-nginx", f"{tmp_path}/cache")
        start = RUN.get(name)
        if start is None:
            start = partial(haproxy_file, script=printed("haproxy-lua", site.config, port))
        with start(tmp_path, text, port):
            ann = site.token("ann")
            # Traefik starts to listen before it loads its routers.
            until(lambda: site.call("GET", "/orders", ann).status_code == 403)
            refused = site.call("GET", "/orders", ann)
            assert refused.headers["connect-url"] == site.page()
            if name != "nginx":  # it returns its own body
                assert refused.json()["error"] == "connection_required"
            with site.logged_in("ann") as visitor:
                page = connect(visitor, site, "ann.at.shop")
                assert "is connected as ann.at.shop." in page.text
                assert site.call("GET", "/connect/shop", ann).json()["state"] == "connected"
                sent = site.call("GET", "/orders", ann)
                assert sent.status_code == 200
                assert dict(sent.json()["headers"])["authorization"] != f"Bearer {ann}"
                page = submit(visitor, page, "/disconnect")
            assert "the access is revoked there" in page.text
            assert site.call("GET", "/connectx", ann).status_code == 404
