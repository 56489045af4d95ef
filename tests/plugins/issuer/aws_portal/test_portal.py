"""The four operations of AWS's portal, called through boto3."""

from __future__ import annotations

from typing import Any

import pytest

from grantway_plugins.issuer import DatabaseBusyError, IssuerServer
from tests.plugins.issuer.conftest import Caller, Clock

DEVELOPER = {"accountId": "123456789012", "roleName": "Developer"}


def test_a_login_lists_accounts_and_roles(tool: Caller, sso: Any) -> None:
    token = tool.login()["access_token"]
    assert sso.list_accounts(accessToken=token)["accountList"] == [
        {
            "accountId": "123456789012",
            "accountName": "Sandbox",
            "emailAddress": "sandbox@example.com",
        },
        {
            "accountId": "210987654321",
            "accountName": "210987654321",
            "emailAddress": "210987654321@example.com",
        },
    ]
    roles = sso.list_account_roles(accessToken=token, accountId="123456789012")
    assert roles["roleList"] == [
        {"roleName": "Developer", "accountId": "123456789012"},
        {"roleName": "ReadOnly", "accountId": "123456789012"},
    ]


def test_a_login_gets_the_credentials_from_the_file(tool: Caller, sso: Any, clock: Clock) -> None:
    token = tool.login()["access_token"]
    assert sso.get_role_credentials(accessToken=token, **DEVELOPER)["roleCredentials"] == {
        "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "secretAccessKey": "dummy-secret",
        "sessionToken": "dummy-session",
        "expiration": int((clock.now + 3600) * 1000),
    }
    other = sso.get_role_credentials(
        accessToken=token, accountId="123456789012", roleName="ReadOnly"
    )
    assert other["roleCredentials"]["expiration"] == int((clock.now + 900) * 1000)


def test_lists_are_paginated(tool: Caller, sso: Any) -> None:
    token = tool.login()["access_token"]
    pages = list(
        sso.get_paginator("list_accounts").paginate(
            accessToken=token, PaginationConfig={"PageSize": 1}
        )
    )
    assert [len(page["accountList"]) for page in pages] == [1, 1]
    first = sso.list_account_roles(accessToken=token, accountId="123456789012", maxResults=1)
    second = sso.list_account_roles(
        accessToken=token, accountId="123456789012", nextToken=first["nextToken"]
    )
    assert [each["roleName"] for each in second["roleList"]] == ["ReadOnly"]
    assert "nextToken" not in second
    # A token is valid only for the list that returned it.
    with pytest.raises(sso.exceptions.InvalidRequestException):
        sso.list_accounts(accessToken=token, nextToken=first["nextToken"])


@pytest.mark.parametrize(
    "query",
    [
        "max_result=0",
        "max_result=101",
        "max_result=-1",
        "max_result=x",
        "max_result=%C2%B2",
        "next_token=x",
        "next_token=%FF",
        "next_token=YWNjb3VudHMgLTE=",
        "max_result=1&max_result=1",
    ],
)
def test_rejects_an_invalid_query(tool: Caller, query: str) -> None:
    headers = {"x-amz-sso_bearer_token": tool.login()["access_token"]}
    response = tool.http.get(f"{tool.url}/assignment/accounts?{query}", headers=headers)
    assert response.status_code == 400
    assert response.headers["x-amzn-errortype"] == "InvalidRequestException"


@pytest.mark.parametrize(
    ("role", "error"),
    [
        ({"accountId": "123456789012", "roleName": "Admin"}, "ResourceNotFoundException"),
        ({"accountId": "999999999999", "roleName": "Developer"}, "ResourceNotFoundException"),
        ({"accountId": "123456789012", "roleName": ""}, "InvalidRequestException"),
    ],
)
def test_rejects_a_role_that_does_not_exist(
    tool: Caller, sso: Any, role: dict[str, str], error: str
) -> None:
    token = tool.login()["access_token"]
    with pytest.raises(getattr(sso.exceptions, error)):
        sso.get_role_credentials(accessToken=token, **role)


def test_logout_revokes_the_login(tool: Caller, sso: Any) -> None:
    tokens, other = tool.login(), tool.login()
    sso.logout(accessToken=tokens["access_token"])
    with pytest.raises(sso.exceptions.UnauthorizedException) as refused:
        sso.list_accounts(accessToken=tokens["access_token"])
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401
    refreshed = tool.as_aws(
        "/token", grantType="refresh_token", refreshToken=tokens["refresh_token"]
    )
    assert refreshed.json()["error"] == "invalid_grant"
    assert sso.list_accounts(accessToken=other["access_token"])
    with pytest.raises(sso.exceptions.UnauthorizedException):
        sso.logout(accessToken=tokens["access_token"])


def test_rejects_requests_without_a_valid_token(tool: Caller, sso: Any, clock: Clock) -> None:
    tokens = tool.login()
    without_scope = tool.login(scope="b")["access_token"]
    for token in ("x", tokens["refresh_token"], without_scope):
        for call in (
            lambda token: sso.list_accounts(accessToken=token),
            lambda token: sso.list_account_roles(accessToken=token, accountId="123456789012"),
            lambda token: sso.get_role_credentials(accessToken=token, **DEVELOPER),
            lambda token: sso.logout(accessToken=token),
        ):
            with pytest.raises(sso.exceptions.UnauthorizedException):
                call(token)
    clock.tick(3600)
    with pytest.raises(sso.exceptions.UnauthorizedException):
        sso.list_accounts(accessToken=tokens["access_token"])
    assert tool.http.get(f"{tool.url}/assignment/accounts").status_code == 401


def test_reports_a_busy_database_as_too_many_requests(
    tool: Caller, portal: IssuerServer, sso: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tool.login()["access_token"]

    async def busy(_work: object) -> None:
        raise DatabaseBusyError("busy")

    monkeypatch.setattr(portal.store, "arun", busy)
    with pytest.raises(sso.exceptions.TooManyRequestsException):
        sso.list_accounts(accessToken=token)


def test_is_disabled_by_default(caller: Caller) -> None:
    for path in ("/assignment/accounts", "/assignment/roles", "/federation/credentials"):
        assert caller.http.get(caller.url + path).status_code == 404
    assert caller.http.post(f"{caller.url}/logout").status_code == 404


def test_rejects_other_methods(tool: Caller) -> None:
    assert tool.http.get(f"{tool.url}/logout").status_code == 405
    assert tool.http.post(f"{tool.url}/assignment/accounts").status_code == 405


def test_its_settings_do_not_show_secrets(portal: IssuerServer) -> None:
    assert "dummy" not in repr(portal.settings)
