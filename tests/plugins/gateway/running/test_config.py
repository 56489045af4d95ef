"""Mistakes in a gateway's file are all reported at once, with file, line and reason."""

# Each case is one line: the old text, the new text, and the message.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grantway._exceptions import ConfigurationError
from grantway_plugins.cli.gateway import command
from grantway_plugins.gateway import hash_secret
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._config.limits import GatewayLimits
from grantway_plugins.stores.encrypted._keys import generate_key
from tests import forked
from tests.faults import free_port
from tests.plugins.gateway.running.programs import GRANTWAY

GOOD = """\
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"

[providers.idp]
token_endpoint = "https://login.example.com/token"
client_id = "my-gateway"
client_secret = "very secret and never shown"

[routes.orders]
path = "/orders"
upstream = "http://127.0.0.1:9000"
provider = "idp"
tenant = "header:X-Tenant"
on_failure = "closed"
"""


def mistakes_in(folder: Path, text: str) -> list[str]:
    """Return the mistakes in a file, each as ``LINE: MESSAGE``."""
    path = folder / "gateway.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as rejected:
        ConfigFile(path)
    found = str(rejected.value).splitlines()
    assert all(each.startswith(f"{path}, line ") for each in found), found
    assert "very secret" not in str(rejected.value)
    return [each.removeprefix(f"{path}, line ") for each in found]


def test_reads_a_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GOOD)
    config = ConfigFile(path)
    assert config.routes["orders"]["grant"] == "client_credentials"
    assert config.gateway["limits"] == GatewayLimits()
    assert config.authorize is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # Unknown keys
        ('path = "/orders"', 'pth = "/orders"', "11: routes.orders.pth is an unknown key; did you mean path?"),
        ("[gateway]", "[gatway]", "1: gatway is an unknown key; did you mean gateway?"),
        ('admin = "', 'admn = "', "3: gateway.admn is an unknown key; did you mean admin?"),
        ('client_id = "my', 'client_name = "my', "7: providers.idp.client_name is an unknown key; did you mean"),
        # Missing keys
        ('tenant = "header:X-Tenant"\n', "", "10: routes.orders.tenant is missing; it selects the tenant of each request and must be"),
        ('on_failure = "closed"\n', "", '10: routes.orders.on_failure is missing; it must be "closed" or "open"'),
        ('provider = "idp"\n', "", "10: routes.orders.provider is required"),
        ('upstream = "http://127.0.0.1:9000"\n', "", "10: routes.orders.upstream is missing"),
        ('client_id = "my-gateway"\n', "", "5: providers.idp.client_id is required"),
        # Unknown names
        ('provider = "idp"', 'provider = "idq"', "13: routes.orders.provider is not a provider in this file; did you mean idp?"),
        ('path = "/orders"', 'grant = "client_credential"', "11: routes.orders.grant is not registered by any plugin; did you mean client_credentials?"),
        ('client_id = "my', 'dialect = "rfc6748"\nclient_id = "my', "7: providers.idp.dialect is not a known dialect; did you mean rfc6749?"),
        ('admin = "127.0.0.1:0"', 'store = "rediss"', "3: gateway.store.kind is not a known store: rediss; did you mean redis?"),
        ('admin = "127.0.0.1:0"', 'store = {kind = "rediss"}', "3: gateway.store.kind is not a known store"),
        ('client_secret = "very secret and never shown"', 'client_secret = {source = "file", path = "no.txt"}', "8: providers.idp.client_secret is not available: the secret source 'file' cannot be read: "),
        ('client_secret = "very secret and never shown"', 'client_secret = {source = "fiel", path = "no.txt"}', "8: providers.idp.client_secret.source is not a known secret source: fiel; did you mean file?"),
        ('client_secret = "very secret and never shown"', 'client_secret = {source = "file", pth = "no.txt"}', "8: providers.idp.client_secret cannot be created: it has no option pth"),
        ('client_secret = "very secret and never shown"', 'client_secret = {source = "file"}', "8: providers.idp.client_secret cannot be created: it needs the option path"),
        ('client_secret = "very secret and never shown"', 'client_secret = {path = "no.txt"}', "8: providers.idp.client_secret.source must name a secret source"),
        ('client_secret = "very secret and never shown"', 'client_secret = ""', "8: providers.idp.client_secret must not be empty"),
        ('client_secret = "very secret and never shown"', 'client_assertion = {source = "file", path = "no.txt"}', "8: providers.idp.client_assertion is not available: the secret source"),
        ('path = "/orders"', 'grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"\nparams = {assertion = {source = "fiel"}}', "12: routes.orders.params.assertion.source is not a known secret source"),
        ('path = "/orders"', 'grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"\nparams = {assertion = {source = "file", path = "{tenant}"}}', "12: routes.orders.params.assertion cannot contain {tenant}"),
        ('client_secret = "very secret and never shown"', 'client_secret = {source = "env", name = "GRANTWAY_NOT_SET"}', "8: providers.idp.client_secret is not available: the secret source 'env' cannot be read: the environment variable GRANTWAY_NOT_SET is not set"),
        # Invalid values
        ('tenant = "header:X-Tenant"', 'tenant = "header"', '14: routes.orders.tenant must be "single"'),
        ('tenant = "header:X-Tenant"', 'tenant = "path:0"', '14: routes.orders.tenant must be "single"'),
        ('tenant = "header:X-Tenant"', 'tenant = "single"\ntenants = "listed"', '15: routes.orders.tenants cannot be "listed"'),
        ('on_failure = "closed"', 'on_failure = "maybe"', '15: routes.orders.on_failure must be "closed" or "open"'),
        ('upstream = "http://127.0.0.1:9000"', 'upstream = "ftp://x"', "12: routes.orders.upstream must be a URL without user, query and fragment"),
        ('upstream = "http://127.0.0.1:9000"', 'upstream = "http://u:p@x"', "12: routes.orders.upstream must be a URL without user, query and fragment"),
        ('upstream = "http://127.0.0.1:9000"', 'upstream = "http://orders"', "12: routes.orders.upstream would receive unencrypted tokens"),
        ('path = "/orders"', 'path = "/a/../b"', "11: routes.orders.path cannot be matched"),
        ('path = "/orders"', 'host = "example.com:80"', "11: routes.orders.host must be a host without a port"),
        ('path = "/orders"', 'grant = "device_code"', '11: routes.orders.grant needs a user: use grant = "connection", and let users connect their accounts with [connections]'),
        ('path = "/orders"', 'incoming = "exchange"\ngrant = "client_credentials"', "12: routes.orders.grant must be left out"),
        ('path = "/orders"', "params = {refresh_token = 3}", "11: routes.orders.params.refresh_token"),
        ('path = "/orders"', "params = {a = 1}", "11: routes.orders.params.a is not a parameter of this grant; provider-specific ones go into the table extra"),
        ('path = "/orders"', 'params = {scope = "a"}', "11: routes.orders.params.scope must be set in the route's key scope, outside params"),
        ('path = "/orders"', "answer_timeout = 0", "11: routes.orders.answer_timeout must be a number of seconds"),
        ('path = "/orders"', "answer_timeout = nan", "11: routes.orders.answer_timeout must be a number of seconds"),
        ('path = "/orders"', "answer_timeout = inf", "11: routes.orders.answer_timeout must be a number of seconds"),
        ('path = "/orders"', "keep_host = 1", "11: routes.orders.keep_host must be true or false"),
        ('path = "/orders"', 'header = "Proxy-Authorization"', "11: routes.orders.header must not be Proxy-Authorization, which proxies set or remove"),
        ('path = "/orders"', 'header = "te"', "11: routes.orders.header must not be te"),
        ('path = "/orders"', 'header = "X_Forwarded_For"', "11: routes.orders.header must not be X_Forwarded_For"),
        ('path = "/orders"', 'header = "Content-Length"', "11: routes.orders.header must not be Content-Length"),
        ('admin = "127.0.0.1:0"', 'hosts = ["a.example:80"]', "3: gateway.hosts must be host names without a port"),
        ('admin = "127.0.0.1:0"', 'origins = ["app.example"]', "3: gateway.origins must be origins of web pages"),
        ('admin = "127.0.0.1:0"', 'admin = "8401"', "3: gateway.admin must be host and port"),
        ('listen = "127.0.0.1:0"\nadmin = "127.0.0.1:0"', 'listen = "127.0.0.1:8499"\nadmin = "127.0.0.1:8499"', "3: gateway.admin is also the address of gateway.listen; choose another port"),
        ("[routes.orders]", '[authorize]\nlisten = "127.0.0.1:8411"\ngrpc_listen = "127.0.0.1:8411"\n[routes.orders]', "12: authorize.grpc_listen is also the address of authorize.listen"),
        ('path = "/orders"', 'path = "orders"', "11: routes.orders.path cannot be matched: The path must begin with a slash"),
        ('path = "/orders"', 'grant = "conection"', "11: routes.orders.grant is not registered by any plugin; did you mean connection?"),
        ('client_secret = "very secret and never shown"', 'client_secret = ["very secret"]', "8: providers.idp.client_secret must be one secret, not a list"),
        ('admin = "127.0.0.1:0"', "limits = {connections = 0}", "3: gateway.limits.connections must be a whole number from 1"),
        ('client_id = "my', 'breaker = {failures = 0}\nclient_id = "my', "7: providers.idp.breaker.failures must be a whole number from 1"),
        ('client_id = "my', 'breaker = {share = 2}\nclient_id = "my', "7: providers.idp.breaker.share must be a number greater than 0 and at most 1"),
        ('client_id = "my', 'bulkhead = {at_once = 0}\nclient_id = "my', "7: providers.idp.bulkhead.at_once must be a whole number from 1"),
        ("[routes.orders]", "[tenants.acme.idq]\n[routes.orders]", "10: tenants.acme.idq is not a provider in this file; did you mean idp?"),
        ("[routes.orders]", '[tenants."a b"]\n[routes.orders]', '10: tenants."a b" is not a valid tenant name'),
        ("[routes.orders]", '[tenants.acme.idp]\nclient_secret = "very secret x"\n[routes.orders]', "11: tenants.acme.idp.client_secret needs client_id beside it"),
        ("[routes.orders]", '[authorize]\nlisten = "0.0.0.0:9"\n[routes.orders]', "10: authorize.allow is missing"),
        ("[routes.orders]", '[token_endpoint]\nprovider = "idp"\nallow = []\nclients = {shop = "very secret"}\n[routes.orders]', "13: token_endpoint.clients"),
    ],
)  # fmt: skip
def test_reports_a_mistake_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    found = mistakes_in(tmp_path, GOOD.replace(old, new, 1))
    assert any(each.startswith(message) for each in found), found


def test_rejects_two_routes_with_the_same_host_and_path(tmp_path: Path) -> None:
    second = (
        GOOD[GOOD.index("[routes.orders]") :]
        .replace("orders]", "more]")
        .replace('"/orders"', '"/orders/"')
    )
    assert mistakes_in(tmp_path, GOOD + second) == [
        "16: routes.more matches any host and /orders, like orders in line 10; change the host or path of one of them"
    ]
    ConfigFile(written(tmp_path, GOOD + second.replace("path", 'host = "b.example.com"\npath')))


def test_rejects_a_token_endpoint_on_the_path_of_a_route(tmp_path: Path) -> None:
    endpoint = (
        '[token_endpoint]\npath = "/orders"\nprovider = "idp"\nallow = ["refresh_token", "x"]\n'
        f'clients = {{shop = "{hash_secret("a-secret-that-is-long-enough")}"}}\n'
    )
    found = mistakes_in(tmp_path, GOOD + endpoint)
    assert found[0].startswith(
        "17: token_endpoint.path is also the path of the route orders; change one"
    )
    assert found[1].startswith("19: token_endpoint.allow has x, which no plugin registers")


def test_token_endpoint_requires_a_binding_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = GOOD.replace('client_secret = "very secret and never shown"', 'auth = "none"')
    endpoint = (
        '[token_endpoint]\nprovider = "idp"\nallow = ["refresh_token"]\n'
        f'clients = {{shop = "{hash_secret("a-secret-that-is-long-enough")}"}}\n'
    )
    variable = 'binding_key = {source = "env", name = "BINDING"}\n'
    (found,) = mistakes_in(tmp_path, public + endpoint)
    assert "token_endpoint.binding_key is missing: idp has no client secret" in found
    (found,) = mistakes_in(tmp_path, public + endpoint + variable)
    assert "token_endpoint.binding_key is not available" in found
    assert "the environment variable BINDING is not set" in found
    monkeypatch.setenv("BINDING", "too short")
    (found,) = mistakes_in(tmp_path, public + endpoint + variable)
    assert "binding_key must be 32 bytes" in found
    assert "too short" not in found
    monkeypatch.setenv("BINDING", f"{generate_key()},{generate_key()}")
    config = ConfigFile(written(tmp_path, public + endpoint + variable))
    keys = config.binding_keys().value
    assert keys is not None
    assert len(keys().value) == 2
    (tmp_path / "key").write_text(generate_key())
    file = 'binding_key = {source = "file", path = "key"}\n'
    ConfigFile(written(tmp_path, public + endpoint + file))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[]", "must not be an empty list; pass the hash of the client's secret, and during a"),
        (
            '"very secret"',
            "must be made by grantway_plugins.gateway.hash_secret; the secret itself is not accepted",
        ),
        ('["HASH", "very secret"]', "must be made by grantway_plugins.gateway.hash_secret (hash 2"),
        ('["HASH", 7]', "must be made by grantway_plugins.gateway.hash_secret (hash 2 of 2 is not"),
        ("7", "must be made by grantway_plugins.gateway.hash_secret, or a list of such hashes"),
        ("{}", "must be made by grantway_plugins.gateway.hash_secret, or a list of such hashes"),
    ],
)
def test_reports_an_invalid_hash_with_its_client_and_line(
    tmp_path: Path, value: str, message: str
) -> None:
    good = hash_secret("a-secret-that-is-long-enough")
    endpoint = (
        '[token_endpoint]\nprovider = "idp"\nallow = ["refresh_token"]\n'
        f'[token_endpoint.clients]\nkiosk = ["{good}", "{good}"]\n'
    )
    (found,) = mistakes_in(tmp_path, f"{GOOD}{endpoint}shop = {value.replace('HASH', good)}\n")
    assert found.startswith(f"21: token_endpoint.clients.shop {message}")


def test_reports_invalid_redirect_uris_with_their_client_and_line(tmp_path: Path) -> None:
    good = hash_secret("a-secret-that-is-long-enough")
    endpoint = (
        '[token_endpoint]\nprovider = "idp"\nallow = ["refresh_token"]\n'
        f'clients = {{shop = "{good}"}}\n[token_endpoint.redirect_uris]\nshop = 7\n'
    )
    (found,) = mistakes_in(tmp_path, GOOD + endpoint)
    assert found.startswith("21: token_endpoint.redirect_uris.shop must be a list of URIs"), found


def test_rejects_a_redirect_uri_shared_by_two_clients(tmp_path: Path) -> None:
    one = hash_secret("a-secret-that-is-long-enough")
    endpoint = (
        '[token_endpoint]\nprovider = "idp"\nallow = ["authorization_code"]\n'
        f'clients = {{shop = "{one}", kiosk = "{one}"}}\n'
        "[token_endpoint.redirect_uris]\n"
        'shop = ["https://shop.example.com/cb"]\nkiosk = ["https://shop.example.com/cb"]\n'
    )
    found = mistakes_in(tmp_path, GOOD + endpoint)
    assert any("redirect_uris 'kiosk' shares https://shop" in each for each in found), found


def test_insecure_http_allows_plain_http_to_another_machine(tmp_path: Path) -> None:
    plain = GOOD.replace("127.0.0.1:9000", "orders.internal")
    ConfigFile(written(tmp_path, plain.replace("tenant =", "insecure_http = true\ntenant =")))


def test_reports_all_mistakes_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("listen", "lisen").replace("tenant =", "tennant =").replace('"idp"', '"x"')
    assert [each.partition(":")[0] for each in mistakes_in(tmp_path, text)] == [
        "2",
        "10",
        "13",
        "14",
    ]


def test_requires_a_provider(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("")
    with pytest.raises(ConfigurationError, match="providers is missing"):
        ConfigFile(tmp_path / "gateway.toml")


def test_a_listed_tenant_can_set_required_parameters(tmp_path: Path) -> None:
    text = GOOD.replace(
        'path = "/orders"', 'path = "/orders"\ngrant = "refresh_token"\ntenants = "listed"'
    )
    assert "params.refresh_token" in mistakes_in(tmp_path, text)[0]
    ConfigFile(written(tmp_path, text + '[tenants.acme.idp]\nparams = {refresh_token = "x"}\n'))


@pytest.mark.parametrize("start", ["strict", "degraded"])
def test_reports_a_provider_that_cannot_be_discovered(tmp_path: Path, start: str) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}"
    text = GOOD.replace("token_endpoint", "issuer").replace(
        "https://login.example.com/token", unreachable
    )
    done = check(written(tmp_path, text.replace("[gateway]", f'[gateway]\nstart = "{start}"')))
    if start == "degraded":
        assert done.returncode == 0
        assert "Provider idp issues no tokens" in done.stderr
        return
    assert done.returncode == 1
    assert "gateway.toml, line 7: providers.idp.issuer cannot be discovered: " in done.stderr
    assert 'start = "degraded"' in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_reports_mistakes(tmp_path: Path) -> None:
    done = check(written(tmp_path, GOOD.replace("path =", "pth =")))
    assert (done.returncode, done.stdout) == (1, "")
    assert "gateway.toml, line 11: routes.orders.pth is an unknown key" in done.stderr
    assert check(written(tmp_path, GOOD)).stdout.endswith(
        "gateway.toml is valid: 1 route, 1 provider, 0 tenants\n"
    )


def test_the_command_takes_one_file(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    config = ["--config", str(path)]
    for given, hint in (
        ([*config, *config, "--check"], "give one file"),
        (["config", "nginx", *config, *config], "give one file"),
        ([str(path)], "name the gateway's file with --config"),
    ):
        result = CliRunner().invoke(command, given)
        assert result.exit_code == 2
        assert hint in result.output


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ('auth = "client_secret_basik"\n', "5: providers.idp is invalid: auth: 'client_secret_basik' is not registered"),
        ('[tenants.acme.idp]\nauth = "x"\n', "9: tenants.acme.idp is invalid: auth: 'x' is not registered"),
        ('[tenants.acme.idp]\nclient_id = "y"\nauth = "client_secret_post"\n', "9: tenants.acme.idp is invalid: auth: client_secret_post needs a secret"),
    ],
)  # fmt: skip
def test_reports_invalid_client_authentication(tmp_path: Path, added: str, message: str) -> None:
    done = check(written(tmp_path, GOOD.replace("\n[routes.orders]", f"{added}\n[routes.orders]")))
    assert done.returncode == 1
    assert f"gateway.toml, line {message}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "very secret" not in done.stderr


def test_reports_a_missing_file(tmp_path: Path) -> None:
    done = check(tmp_path / "none.toml")
    assert done.returncode == 1
    assert "none.toml" in done.stderr


def written(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


def check(path: Path) -> Any:
    return forked.run(
        [*GRANTWAY, "gateway", "--config", str(path), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
