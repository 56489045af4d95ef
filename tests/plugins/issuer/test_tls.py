"""An issuer with a certificate: its address, cookies and checks."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._config import IssuerFile, Options
from tests.certificates import Identity, issue
from tests.waiting import PATIENCE


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    folder = tmp_path_factory.mktemp("pki")
    return issue(folder, "server", issue(folder, "authority"))


def authority(identity: Identity) -> str:
    return str(Path(identity.certificate).with_name("authority.pem"))


def test_serves_https_and_names_it_in_the_metadata(identity: Identity) -> None:
    with IssuerServer(tls_certificate=identity.certificate, tls_key=identity.key) as server:
        assert server.url.startswith("https://127.0.0.1:")
        response = requests.get(
            f"{server.url}/.well-known/oauth-authorization-server",
            verify=authority(identity),
            timeout=PATIENCE,
        )
        assert response.json()["token_endpoint"] == f"{server.url}/token"


def test_other_machines_may_connect_with_tls(identity: Identity) -> None:
    settings = IssuerSettings(issuer="https://login.example.com", registration="off")
    tls = {"tls_certificate": identity.certificate, "tls_key": identity.key}
    server = IssuerServer(settings, host="0.0.0.0", **tls)  # type: ignore[arg-type]
    server.stop()
    plain = IssuerSettings(issuer="http://login.example.com", registration="off")
    with pytest.raises(ConfigurationError, match="issuer must be an https URL"):
        IssuerServer(plain, host="0.0.0.0", **tls)  # type: ignore[arg-type]


def test_a_file_names_the_certificate_and_errors_name_its_line(
    identity: Identity, tmp_path: Path
) -> None:
    file = tmp_path / "issuer.toml"
    file.write_text(f'[tls]\ncertificate = "{identity.certificate}"\nkey = "{identity.key}"\n')
    _, server = Options({}, lambda _, name: name, IssuerFile(file)).build()
    assert server["tls_key"] == identity.key
    file.write_text(f'[tls]\ncertificate = "{identity.certificate}"\nkey = "missing.key"\n')
    with pytest.raises(ConfigurationError) as raised:
        Options({}, lambda _, name: name, IssuerFile(file)).build()
    missing = tmp_path / "missing.key"
    assert raised.value.message.startswith(f"{file}, line 3: tls.key {missing} cannot be read")
