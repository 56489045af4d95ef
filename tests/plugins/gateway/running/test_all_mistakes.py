"""One error reports every mistake in a gateway's file, of each kind."""

# Each expected message starts with its line number in the file.

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import requests

from tests import forked
from tests.faults import free_port
from tests.plugins.gateway.running.programs import GRANTWAY, PATIENCE, gateway, write
from tests.plugins.gateway.running.test_config import GOOD

WRONG = """\
[gatewy]
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1"
reload_evry = 3
ready = "some"
store = {kind = "file", colour = "red"}
require_plugins = ["acme-audit"]
limits = {connections = 0}

[network]
no_proxy = 7

[authorize]
listen = "0.0.0.0:8412"
nginx_path = 3

[providers.mistyped]
token_endpoint = "ftp://login.example.com"
client_id = 5
client_secret = {source = "env", name = "GRANTWAY_NOT_SET"}
timeout = "soon"
dialect = "rfc6748"

[providers.without_secret]
token_endpoint = "https://login.example.com/token"
client_id = "my-gateway"
client_secret = {source = "file", path = "none.txt"}
breaker = {failures = 0}

[providers.undiscovered]
issuer = "http://127.0.0.1:PORT"
client_id = "my-gateway"
client_secret = "very secret and never shown"

[providers.unknown_method]
token_endpoint = "https://login.example.com/token"
client_id = "my-gateway"
auth = "client_secret_basik"

[providers.incomplete]
client_id = "my-gateway"

[routes.mistyped]
path = "/a/../b"
upstream = "http://orders.example.com"
provider = "undiscoverd"
tenant = "header"
on_failure = "maybe"
keep_host = 1

[routes.misfit]
path = "/orders"
upstream = "http://127.0.0.1:9000"
provider = "undiscovered"
grant = "client_credential"
tenant = "single"
on_failure = "closed"
scheme = "two words"

[routes.again]
path = "/orders"
upstream = "http://127.0.0.1:9000"
ca_bundle = "none.pem"
provider = "undiscovered"
grant = "refresh_token"
params = {refresh_token = 3}
tenant = "single"
tenants = "listed"
on_failure = "closed"

[tenants.acme.undiscoverd]
[tenants.acme.without_secret]
client_id = "acme"
client_secret = {source = "env", name = "GRANTWAY_NOT_SET"}
timeout = 3

[token_endpoint]
path = "/orders"
provider = "incomplet"
allow = ["refresh_tokn"]
clients = {shop = "plain"}
binding_key = {source = "file", path = "none.key"}
"""

EXPECTED = [
    "1: gatewy is an unknown key",
    "4: gateway.admin must be host and port",
    "5: gateway.reload_evry is an unknown key",
    '6: gateway.ready must be "any" or "all"',
    "7: gateway.store cannot be created: it has no option colour",
    "8: gateway.require_plugins is not satisfied",
    "9: gateway.limits.connections must be a whole number",
    "12: network.no_proxy must be hosts",
    "14: authorize.allow is missing",
    "16: authorize.nginx_path must be a string",
    "19: providers.mistyped.token_endpoint must be",
    "20: providers.mistyped.client_id must be a string",
    "21: providers.mistyped.client_secret is not available: the secret source 'env'",
    "22: providers.mistyped.timeout must be a number of seconds",
    "23: providers.mistyped.dialect is not a known dialect",
    "28: providers.without_secret.client_secret is not available: the secret source",
    "29: providers.without_secret.breaker.failures must be a whole number",
    "36: providers.unknown_method is invalid: auth: 'client_secret_basik' is not registered",
    "41: providers.incomplete needs issuer",
    "45: routes.mistyped.path cannot be matched",
    "46: routes.mistyped.upstream would receive unencrypted tokens",
    "47: routes.mistyped.provider is not a provider in this file; did you mean undiscovered?",
    '48: routes.mistyped.tenant must be "single"',
    '49: routes.mistyped.on_failure must be "closed" or "open"',
    "50: routes.mistyped.keep_host must be true or false",
    "56: routes.misfit.grant is not registered by any plugin; did you mean client_credentials?",
    "59: routes.misfit.scheme must be one word",
    "61: routes.again matches any host and /orders",
    "64: routes.again.ca_bundle",
    "67: routes.again.params.refresh_token",
    '69: routes.again.tenants cannot be "listed"',
    "72: tenants.acme.undiscoverd is not a provider in this file",
    "75: tenants.acme.without_secret.client_secret is not available: the secret",
    "76: tenants.acme.without_secret.timeout belongs in the provider's table",
    "79: token_endpoint.path is also the path of the route misfit; change one",
    "79: token_endpoint.path is also the path of the route again; change one",
    "80: token_endpoint.provider is not a provider in this file; did you mean incomplete?",
    "81: token_endpoint.allow has refresh_tokn",
    "82: token_endpoint.clients",
    "83: token_endpoint.binding_key is not available: the secret source",
]


def test_check_reports_every_mistake(tmp_path: Path) -> None:
    config = write(tmp_path, WRONG.replace("PORT", "1"))
    done = check(config)
    assert done.returncode == 1
    assert_reported(done.stderr.removeprefix("Error: "), config)


def test_reload_reports_every_mistake(tmp_path: Path) -> None:
    config = write(tmp_path, GOOD)
    with gateway(config) as run:
        config.write_text(WRONG.replace("PORT", "1"))
        response = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        assert response.status_code == 400
        assert_reported(response.json()["error"], config, "15: authorize.listen cannot change")
        assert run.ready()[1]["providers"].keys() == {"idp"}


def test_reports_mistakes_found_in_the_file_and_by_discovery_together(tmp_path: Path) -> None:
    providers = f"""
[providers.undiscovered]
issuer = "http://127.0.0.1:{free_port()}"
client_id = "my-gateway"

[providers.bad_tls]
token_endpoint = "https://login.example.com/token"
client_id = "my-gateway"
auth = "client_secret_basik"
ca_bundle = "none.pem"
"""
    done = check(write(tmp_path, GOOD.replace("path =", "pth =") + providers))
    for each in (
        "line 11: routes.orders.pth is an unknown key",
        "line 18: providers.undiscovered.issuer cannot be discovered",
        "line 21: providers.bad_tls is invalid: auth: 'client_secret_basik'",
        "line 25: providers.bad_tls.ca_bundle",
    ):
        assert each in done.stderr
    assert len(done.stderr[done.stderr.index("Error: ") :].splitlines()) == 4


def test_a_mistake_does_not_cause_follow_up_mistakes(tmp_path: Path) -> None:
    """A misspelt ``client_secret`` is not reported as a missing secret as well."""
    text = GOOD.replace('client_secret = "', 'auth = "client_secret_basic"\nclient_sekret = "')
    done = check(write(tmp_path, text.replace("path =", "pth =")))
    assert re.findall(r"line (\d+):", done.stderr) == ["9", "12"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such gateway file; name it with --config"),
        ("folder", "is a directory, not a gateway file; give the path of the file"),
        ("latin", "is not UTF-8; save the gateway file as UTF-8"),
        ("broken", "Expected"),
    ],
)
def test_errors_for_unreadable_files_mention_the_gateway_file(
    tmp_path: Path, kind: str, message: str
) -> None:
    config = tmp_path / "gateway.toml"
    if kind == "folder":
        config.mkdir()
    elif kind != "missing":
        config.write_bytes(b'[gateway]\nlisten = "\xe9"\n' if kind == "latin" else b"[gateway\n")
    done = check(config)
    assert done.returncode == 1
    assert str(config) in done.stderr
    assert message in done.stderr
    assert "profile" not in done.stderr
    assert "Traceback" not in done.stderr


def check(config: Path) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [*GRANTWAY, "gateway", "--config", str(config), "--check"],
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def assert_reported(text: str, config: Path, *more: str) -> None:
    """Assert that the text reports each mistake on a separate line, and no others."""
    reported = [each.removeprefix(f"{config}, line ") for each in text.strip().splitlines()]
    missing = [each for each in EXPECTED if not any(one.startswith(each) for one in reported)]
    others = [one for one in reported if not one.startswith((*EXPECTED, *more))]
    assert (missing, others) == ([], []), text
    assert "very secret" not in text
