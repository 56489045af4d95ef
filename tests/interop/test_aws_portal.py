"""Tests of AWS's tools from login to logout against ``grantway serve --aws-portal``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grantway_plugins import aws as sso_oidc
from grantway_plugins.issuer._browser_driver import BrowserDriver
from tests.interop import aws_cli
from tests.interop.aws_js import AwsJsClient, AwsJsError
from tests.interop.documented import example
from tests.interop.grantway_serve import grantway_serve
from tests.interop.program import Program

pytestmark = pytest.mark.slow

#: Seconds that a command may take on a busy machine.
PATIENCE = 90.0
START_URL = "https://d-0000000000.awsapps.com/start"
CREDENTIALS = {
    "AccessKeyId": "AKIAIOSFODNN7EXAMPLE",
    "SecretAccessKey": "dummy-secret",
    "SessionToken": "dummy-session",
}
ACCOUNTS = """
[accounts.123456789012]
name = "Sandbox"

[accounts.123456789012.roles.Developer]
access_key_id = "AKIAIOSFODNN7EXAMPLE"
secret_access_key = "dummy-secret"
session_token = "dummy-session"
"""
BOTOCORE = """
import json, sys, boto3
found = boto3.Session(profile_name=sys.argv[1]).get_credentials().get_frozen_credentials()
names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
print(json.dumps(dict(zip(names, (found.access_key, found.secret_key, found.token)))))
"""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    accounts = tmp_path_factory.mktemp("portal") / "accounts.toml"
    accounts.write_text(ACCOUNTS)
    options = ["--aws-portal", str(accounts), "--device-interval-seconds", "1"]
    with grantway_serve(*options) as url:
        yield url


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(example("~/.aws/config"))
    return tmp_path


@pytest.fixture
def environment(home: Path, issuer: str) -> dict[str, str]:
    """Return an environment with the issuer's address and without the user's AWS settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        "AWS_ENDPOINT_URL_SSO": issuer,
        "AWS_ENDPOINT_URL_SSO_OIDC": issuer,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.fixture(scope="module")
def aws() -> str:
    if not aws_cli.AVAILABLE:
        pytest.skip("AWS publishes no wheel of its CLI for this platform")
    return str(aws_cli.install())


def test_the_aws_cli_logs_in_gets_credentials_and_logs_out(
    aws: str, environment: dict[str, str]
) -> None:
    login = [aws, "sso", "login", "--profile", "my-login", "--use-device-code", "--no-browser"]
    with Program(login, env=environment) as program, BrowserDriver() as driver:
        output = ""
        while not (shown := re.search(r"http://\S+/device\?user_code=\S+", output)):
            output += program.read_line(PATIENCE)
        driver.approve_device(shown[0])
        while "Successfully logged into" not in output:
            output += program.read_line(PATIENCE)

    export = [aws, "configure", "export-credentials", "--profile", "my-login"]
    exported = run(export, environment)
    assert exported.returncode == 0, exported.stderr
    assert CREDENTIALS.items() <= json.loads(exported.stdout).items()

    logout = run([aws, "sso", "logout"], environment)
    assert logout.returncode == 0, logout.stderr
    assert run(export, environment).returncode != 0


@pytest.fixture
def logged_in(issuer: str, home: Path) -> None:
    """Log in with grantway."""
    session = sso_oidc.sso_session(
        "my-session",
        config_file=home / ".aws" / "config",
        folder=home / ".aws" / "sso" / "cache",
        endpoint_url=issuer,
    )
    with session, BrowserDriver() as driver:
        session.login_on_device(
            lambda shown: driver.approve_device(shown.verification_uri, shown.user_code)
        )


@pytest.mark.usefixtures("logged_in")
@pytest.mark.parametrize("profile", ["my-login", "dev"])
def test_botocore_gets_credentials_from_a_grantway_login(
    environment: dict[str, str], profile: str
) -> None:
    done = run([sys.executable, "-c", BOTOCORE, profile], environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == CREDENTIALS


@pytest.mark.usefixtures("logged_in")
def test_the_aws_cli_gets_credentials_from_a_process(aws: str, environment: dict[str, str]) -> None:
    export = [aws, "configure", "export-credentials", "--profile", "dev"]
    exported = run(export, environment)
    assert exported.returncode == 0, exported.stderr
    assert CREDENTIALS.items() <= json.loads(exported.stdout).items()


def test_the_aws_sdk_for_javascript_gets_credentials_and_logs_out(issuer: str) -> None:
    with (
        AwsJsClient(issuer) as oidc,
        AwsJsClient(issuer, service="sso") as portal,
        BrowserDriver() as driver,
    ):
        client = oidc.call(
            "RegisterClient",
            {"clientName": "js", "clientType": "public", "scopes": ["sso:account:access"]},
        )
        proof = {"clientId": client["clientId"], "clientSecret": client["clientSecret"]}
        begun = oidc.call("StartDeviceAuthorization", {**proof, "startUrl": START_URL})
        driver.approve_device(begun["verificationUriComplete"])
        token = oidc.call(
            "CreateToken",
            {
                **proof,
                "grantType": "urn:ietf:params:oauth:grant-type:device_code",
                "deviceCode": begun["deviceCode"],
            },
        )
        access = {"accessToken": token["accessToken"]}
        account = {"accountId": "123456789012"}
        role = {"roleName": "Developer"}

        listed = portal.call("ListAccounts", access)
        assert [each["accountId"] for each in listed["accountList"]] == ["123456789012"]
        assert listed["accountList"][0]["accountName"] == "Sandbox"
        roles = portal.call("ListAccountRoles", {**access, **account})
        assert roles["roleList"] == [{**role, **account}]
        got = portal.call("GetRoleCredentials", {**access, **account, **role})["roleCredentials"]
        assert got["expiration"] > time.time() * 1000
        assert (got["accessKeyId"], got["secretAccessKey"], got["sessionToken"]) == tuple(
            CREDENTIALS.values()
        )

        with pytest.raises(AwsJsError) as unknown:
            portal.call("GetRoleCredentials", {**access, **account, "roleName": "Nobody"})
        assert unknown.value.is_instance
        with pytest.raises(AwsJsError) as denied:
            portal.call("ListAccounts", {"accessToken": "not a token"})
        assert (denied.value.name, denied.value.status) == ("UnauthorizedException", 401)

        assert portal.call("Logout", access) == {}
        with pytest.raises(AwsJsError) as after:
            portal.call("GetRoleCredentials", {**access, **account, **role})
        assert (after.value.name, after.value.is_instance) == ("UnauthorizedException", True)
