"""One error reports every mistake in a gateway's file, of each kind."""

# A case is a line: the line of the file, and what is said of it.

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
client_secret_env = "GRANTWAY_NOT_SET"
timeout = "soon"
dialect = "rfc6748"

[providers.unproven]
token_endpoint = "https://login.example.com/token"
client_id = "my-gateway"
client_secret_file = "none.txt"
breaker = {failures = 0}

[providers.unfound]
issuer = "http://127.0.0.1:PORT"
client_id = "my-gateway"
client_secret = "very secret and never shown"

[providers.unknown_method]
token_endpoint = "https://login.example.com/token"
client_id = "my-gateway"
auth = "client_secret_basik"

[providers.nobody]
client_id = "my-gateway"

[routes.mistyped]
path = "/a/../b"
upstream = "http://orders.example.com"
provider = "unfond"
tenant = "header"
on_failure = "maybe"
keep_host = 1

[routes.unfit]
path = "/orders"
upstream = "http://127.0.0.1:9000"
provider = "unfound"
grant = "client_credential"
tenant = "single"
on_failure = "closed"
scheme = "two words"

[routes.again]
path = "/orders"
upstream = "http://127.0.0.1:9000"
ca_bundle = "none.pem"
provider = "unfound"
grant = "refresh_token"
params = {refresh_token = 3}
tenant = "single"
tenants = "listed"
on_failure = "closed"

[tenants.acme.unfond]
[tenants.acme.unproven]
client_id = "acme"
client_secret_env = "GRANTWAY_NOT_SET"
timeout = 3

[token_endpoint]
path = "/orders"
provider = "nobdy"
allow = ["refresh_tokn"]
clients = {shop = "plain"}
binding_key_file = "none.key"
"""

SAID = [
    "1: gatewy is an unknown key",
    "4: gateway.admin must be host and port",
    "5: gateway.reload_evry is an unknown key",
    '6: gateway.ready must be "any" or "all"',
    "7: gateway.store cannot be created: it has no option colour",
    "8: gateway.require_plugins cannot be kept",
    "9: gateway.limits.connections must be a whole number",
    "12: network.no_proxy must be hosts",
    "14: authorize.allow is missing",
    "16: authorize.nginx_path must be a string",
    "19: providers.mistyped.token_endpoint must be",
    "20: providers.mistyped.client_id must be a string",
    "21: providers.mistyped.client_secret_env names the variable GRANTWAY_NOT_SET",
    "22: providers.mistyped.timeout must be a number of seconds",
    "23: providers.mistyped.dialect names no dialect",
    "28: providers.unproven.client_secret_file names ",
    "29: providers.unproven.breaker.failures must be a whole number",
    "36: providers.unknown_method cannot work: auth: 'client_secret_basik' is not registered",
    "41: providers.nobody needs issuer",
    "45: routes.mistyped.path cannot be matched",
    "46: routes.mistyped.upstream would get tokens in the clear",
    "47: routes.mistyped.provider names no provider; did you mean unfound?",
    '48: routes.mistyped.tenant must be "single"',
    '49: routes.mistyped.on_failure must be "closed" or "open"',
    "50: routes.mistyped.keep_host must be true or false",
    "56: routes.unfit.grant is registered by no plugin; did you mean client_credentials?",
    "59: routes.unfit.scheme must be one word",
    "61: routes.again is for any host and /orders",
    "64: routes.again.ca_bundle",
    "67: routes.again.params.refresh_token",
    '69: routes.again.tenants cannot be "listed"',
    "72: tenants.acme.unfond names no provider",
    "75: tenants.acme.unproven.client_secret_env names the variable",
    "76: tenants.acme.unproven.timeout belongs in the provider's table",
    "79: token_endpoint.path is the path of the route unfit too",
    "79: token_endpoint.path is the path of the route again too",
    "80: token_endpoint.provider names no provider; did you mean nobody?",
    "81: token_endpoint.allow has refresh_tokn",
    "82: token_endpoint.clients",
    "83: token_endpoint.binding_key_file names ",
]


def test_one_check_reports_all_of_them(tmp_path: Path) -> None:
    config = write(tmp_path, WRONG.replace("PORT", "1"))
    done = checked(config)
    assert done.returncode == 1
    assert_said(done.stderr.removeprefix("Error: "), config)


def test_a_reload_reports_all_of_them(tmp_path: Path) -> None:
    config = write(tmp_path, GOOD)
    with gateway(config) as run:
        config.write_text(WRONG.replace("PORT", "1"))
        answer = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
        assert answer.status_code == 400
        assert_said(answer.json()["error"], config, "15: authorize.listen cannot change")
        assert run.ready()[1]["providers"].keys() == {"idp"}


def test_what_only_making_and_asking_shows_is_reported_beside_the_rest(tmp_path: Path) -> None:
    asked = f"""
[providers.unfound]
issuer = "http://127.0.0.1:{free_port()}"
client_id = "my-gateway"

[providers.distrustful]
token_endpoint = "https://login.example.com/token"
client_id = "my-gateway"
auth = "client_secret_basik"
ca_bundle = "none.pem"
"""
    done = checked(write(tmp_path, GOOD.replace("path =", "pth =") + asked))
    for each in (
        "line 11: routes.orders.pth is an unknown key",
        "line 18: providers.unfound.issuer cannot be discovered",
        "line 21: providers.distrustful cannot work: auth: 'client_secret_basik'",
        "line 25: providers.distrustful.ca_bundle",
    ):
        assert each in done.stderr
    assert len(done.stderr[done.stderr.index("Error: ") :].splitlines()) == 4


def test_a_mistake_brings_no_others_that_only_follow_from_it(tmp_path: Path) -> None:
    """As that a client needs a secret, where the name of the secret's key is misspelt."""
    text = GOOD.replace('client_secret = "', 'auth = "client_secret_basic"\nclient_sekret = "')
    done = checked(write(tmp_path, text.replace("path =", "pth =")))
    assert re.findall(r"line (\d+):", done.stderr) == ["9", "12"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such gateway file; name it with --config"),
        ("folder", "is a directory, not a gateway file; give the path of the file"),
        ("latin", "is not UTF-8; save the gateway file as UTF-8"),
        ("broken", "Expected"),
    ],
)
def test_a_file_that_cannot_be_read_is_called_a_gateway_file(
    tmp_path: Path, kind: str, says: str
) -> None:
    config = tmp_path / "gateway.toml"
    if kind == "folder":
        config.mkdir()
    elif kind != "missing":
        config.write_bytes(b'[gateway]\nlisten = "\xe9"\n' if kind == "latin" else b"[gateway\n")
    done = checked(config)
    assert done.returncode == 1
    assert str(config) in done.stderr
    assert says in done.stderr
    assert "profile" not in done.stderr
    assert "Traceback" not in done.stderr


def checked(config: Path) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [*GRANTWAY, "gateway", "--config", str(config), "--check"],
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def assert_said(text: str, config: Path, *more: str) -> None:
    """Each mistake is on a separate line, and there are no others."""
    said = [each.removeprefix(f"{config}, line ") for each in text.strip().splitlines()]
    missing = [each for each in SAID if not any(one.startswith(each) for one in said)]
    others = [one for one in said if not one.startswith((*SAID, *more))]
    assert (missing, others) == ([], []), text
    assert "very secret" not in text
