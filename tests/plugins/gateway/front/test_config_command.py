"""``grantway gateway config``: mistakes, and the parts of the printed configurations."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grantway_plugins.cli.gateway import command

ROUTE = {
    "provider": '"login"',
    "tenant": '"header:X-Tenant"',
    "on_failure": '"closed"',
    "upstream": '"https://orders.test"',
    "path": '"/orders"',
}
AUTHORIZE = '[authorize]\nlisten = "127.0.0.1:8412"\n'
PROXIES = ("nginx", "envoy", "traefik", "caddy", "haproxy")


def config(folder: Path, authorize: str = AUTHORIZE, **values: str) -> Path:
    """Write a gateway file with one route. The values are TOML."""
    lines = "".join(f"{key} = {value}\n" for key, value in {**ROUTE, **values}.items() if value)
    path = folder / "gateway.toml"
    path.write_text(
        '[providers.login]\ntoken_endpoint = "https://login.test/token"\nclient_id = "x"\n'
        f'auth = "none"\n[routes.orders]\n{lines}{authorize}'
    )
    return path


def run(file: Path, proxy: str = "nginx", *more: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(command, ["config", proxy, "--config", str(file), *more])


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("upstream", "", "is missing"),
        ("upstream", '"https://orders.test/base"', "has a path"),
        ("path", '"/a%20b"', "has characters"),
        ("strip_path", "true", "cannot be expressed"),
        ("rewrite_location", "true", "cannot be expressed"),
        ("client_certificate", '"client.pem"', "cannot be expressed"),
    ],
)
def test_settings_that_no_proxy_has_are_reported(
    tmp_path: Path, key: str, value: str, rule: str
) -> None:
    result = run(config(tmp_path, **{key: value}))
    assert result.exit_code == 1
    assert f"routes.orders.{key} {rule}" in str(result.exception)
    assert "line " in str(result.exception)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    values = {"strip_path": "true", "incoming": '"keep"', "header": '"X-Api-Key"'}
    message = str(run(config(tmp_path, "", **values)).exception)
    for key in ("authorize is missing", "routes.orders.strip_path", "routes.orders.header"):
        assert key in message


def test_says_which_listener_to_add(tmp_path: Path) -> None:
    message = str(run(config(tmp_path, "")).exception)
    assert 'Add a table [authorize] with listen = "127.0.0.1:8412"' in message
    file = config(tmp_path)
    message = str(run(file, "envoy-grpc").exception)
    assert f'Add grpc_listen = "127.0.0.1:8413" to [authorize] in {file}' in message


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "0.0.0.0:8412"])
def test_an_address_that_a_proxy_cannot_connect_to_is_reported(tmp_path: Path, listen: str) -> None:
    authorize = f'[authorize]\nlisten = "{listen}"\nallow = ["10.0.0.0/8"]\n'
    message = str(run(config(tmp_path, authorize)).exception)
    assert "authorize.listen must name the address and port" in message


@pytest.mark.parametrize("proxy", PROXIES)
def test_encoded_paths_need_a_proxy_that_keeps_them(tmp_path: Path, proxy: str) -> None:
    result = run(config(tmp_path, encoded_paths='"forward"'), proxy)
    if proxy in {"nginx", "envoy", "haproxy"}:
        assert result.exit_code == 0
    else:
        assert "routes.orders.encoded_paths" in str(result.exception)


@pytest.mark.parametrize("proxy", PROXIES)
def test_upstreams_with_tls_are_verified(tmp_path: Path, proxy: str) -> None:
    result = run(config(tmp_path, ca_bundle='"ca.pem"'), proxy)
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "ca.pem") in result.output
    expected = {
        "nginx": ["proxy_ssl_verify on;", "proxy_ssl_name orders.test;"],
        "envoy": ['sni: "orders.test"', 'matcher: {exact: "orders.test"}'],
        "traefik": ['url = "https://orders.test"', "rootCAs"],
        "caddy": ["reverse_proxy https://orders.test:443", "tls_trust_pool"],
        "haproxy": ["ssl verify required", "verifyhost orders.test sni str(orders.test)"],
    }
    assert all(each in result.output for each in expected[proxy])


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_output_says_how_it_was_created(tmp_path: Path, proxy: str) -> None:
    file = config(tmp_path)
    output = run(file, proxy, "--listen", "127.0.0.2:8099").output
    assert output.startswith(f"# Created by: grantway gateway config {proxy} --config {file}\n")
    assert "8099" in output
    assert "127.0.0.2" in output


@pytest.mark.parametrize(
    "values",
    [{"incoming": '"keep"'}, {"incoming": '"exchange"'}],
    ids=["keep", "exchange"],
)
def test_nginx_caches_no_token_that_depends_on_the_callers(
    tmp_path: Path, values: dict[str, str]
) -> None:
    assert "proxy_cache_key" in run(config(tmp_path)).output
    output = run(config(tmp_path, **values)).output
    assert "Not cached: the token depends on other headers" in output
    assert "proxy_cache_key" not in output


def inbound(more: str = "") -> str:
    return (
        f'[inbound]\nresource = "https://api.test"\n{more}'
        '[[inbound.issuer]]\nissuer = "https://login.test"\n' + AUTHORIZE
    )


@pytest.mark.parametrize("values", [{}, {"tenant": '"claim:org_id"'}, {"tenant": '"user"'}])
def test_nginx_caches_the_token_of_a_verified_caller_for_this_caller(
    tmp_path: Path, values: dict[str, str]
) -> None:
    output = run(config(tmp_path, inbound(), **values)).output
    (key,) = [line for line in output.splitlines() if "proxy_cache_key" in line]
    assert key.endswith(' $http_authorization";')
    assert "proxy_cache_bypass $http_dpop;" in output
    assert "proxy_no_cache $http_dpop;" in output
    assert "/nginx$grantway_cached;" in output
    assert 'proxy_set_header DPoP "";' in output  # for the upstream
    anonymous = run(config(tmp_path, inbound(), anonymous="true")).output
    assert "proxy_cache_key" in anonymous
    assert "$http_authorization" not in anonymous


def with_certificates(folder: Path, header: str) -> Path:
    gateway = '[gateway]\ntrusted_proxies = ["127.0.0.1"]\n'
    return config(folder, gateway + inbound(f'client_certificate_header = "{header}"\n'))


def test_certificates_of_callers_need_a_proxy_that_sets_them(tmp_path: Path) -> None:
    """Callers could send the header themselves, because the gateway trusts the proxy."""
    file = with_certificates(tmp_path, "X-Client-Cert")
    for proxy in ("envoy", "traefik"):
        message = str(run(file, proxy).exception)
        assert "inbound.client_certificate_header: the configuration of" in message
        assert "use nginx, Caddy or HAProxy" in message
    for proxy in ("nginx", "caddy", "haproxy"):
        assert "For certificates of callers" in run(file, proxy).output


def test_nginx_caches_nothing_that_depends_on_a_certificate(tmp_path: Path) -> None:
    output = run(with_certificates(tmp_path, "X-Client-Cert")).output
    assert "proxy_cache_key" not in output
    assert "proxy_set_header X-Client-Cert $ssl_client_escaped_cert;" in output


def test_a_certificate_header_that_proxies_drop_is_reported(tmp_path: Path) -> None:
    message = str(run(with_certificates(tmp_path, "X_Client_Cert")).exception)
    assert "inbound.client_certificate_header must have only letters, digits" in message


def test_an_invalid_address_is_reported(tmp_path: Path) -> None:
    result = run(config(tmp_path), "nginx", "--listen", "here")
    assert result.exit_code == 2
    assert "must be host and port" in result.output


def test_the_gateway_itself_still_needs_its_file() -> None:
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 2
    assert "Missing option '--config'" in result.output
