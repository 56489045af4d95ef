"""Rotation of the gateway's own secret and of its clients' secrets at run time."""

from __future__ import annotations

import pytest
import requests

from grantway_plugins.gateway import derived_binding_key, hash_secret
from grantway_plugins.issuer._browser_driver import BrowserDriver
from grantway_plugins.issuer._decisions.operator_clients import rotate_secret
from grantway_plugins.stores.encrypted._keys import generate_key
from tests.plugins.gateway.running.conftest import Backends
from tests.plugins.gateway.running.programs import PATIENCE, GatewayProcess, gateway
from tests.plugins.gateway.running.test_reload import replace_file

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
OLD, NEW = "the-old-secret-of-the-shop-0123", "the-new-secret-of-the-shop-0123"


def config(backends: Backends, clients: str, more: str = "") -> str:
    """Return a gateway file with a token endpoint."""
    return (
        '[gateway]\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
        + backends.provider()
        + f'[token_endpoint]\nprovider = "idp"\n{more}'
        + f'allow = ["refresh_token", "client_credentials", "{DEVICE_CODE}"]\n'
        + f"clients = {{shop = {clients}}}\n"
    )


def post_form(
    run: GatewayProcess, secret: str, path: str = "/token", **form: str
) -> requests.Response:
    return requests.post(f"{run.url}{path}", form, auth=("shop", secret), timeout=PATIENCE)


def reload(run: GatewayProcess) -> None:
    response = requests.post(f"{run.admin}/reload", timeout=PATIENCE)
    assert response.status_code == 200, response.text


def logged_in(run: GatewayProcess) -> str:
    """Return the refresh token of a device login at the gateway."""
    device_login = post_form(run, OLD, "/device_authorization", scope="read").json()
    with BrowserDriver() as driver:
        driver.approve_device(device_login["verification_uri_complete"])
    got = post_form(run, OLD, grant_type=DEVICE_CODE, device_code=device_login["device_code"])
    assert got.ok, got.text
    return str(got.json()["refresh_token"])


def refreshed(run: GatewayProcess, token: str) -> dict[str, str]:
    response = post_form(run, OLD, grant_type="refresh_token", refresh_token=token)
    return dict(response.json())


def test_a_client_can_use_both_secrets_during_a_rotation(backends: Backends) -> None:
    old, new = f'"{hash_secret(OLD)}"', f'"{hash_secret(NEW)}"'
    path = backends.write(config(backends, old))
    with gateway(path) as run:

        def works(*secrets: str) -> list[bool]:
            return [post_form(run, each, grant_type="client_credentials").ok for each in secrets]

        assert works(OLD, NEW) == [True, False]
        replace_file(path, config(backends, f"[{old}, {new}]"))
        reload(run)
        assert works(OLD, NEW) == [True, True]
        replace_file(path, config(backends, new))
        reload(run)
        assert works(OLD, NEW) == [False, True]


@pytest.mark.parametrize("keyed", [True, False])
def test_a_binding_key_keeps_users_logged_in_when_the_upstream_secret_rotates(
    backends: Backends, keyed: bool
) -> None:
    hashed = f'"{hash_secret(OLD)}"'
    path = backends.write(config(backends, hashed))
    secret = backends.folder / "secret.txt"
    with gateway(path) as run:
        token = logged_in(run)
        if keyed:
            derived = derived_binding_key(backends.client_id, backends.client_secret)
            (backends.folder / "binding.key").write_text(f"{generate_key()},{derived}\n")
            key = 'binding_key = {source = "file", path = "binding.key"}\n'
            replace_file(path, config(backends, hashed, key))
            reload(run)
        rotated = rotate_secret(backends.issuer.store, backends.client_id, overlap=0)
        replace_file(secret, rotated)
        token = refreshed(run, token)["refresh_token"]  # the gateway has read the new secret
        reload(run)
        assert refreshed(run, token).get("error") == (None if keyed else "invalid_grant")
