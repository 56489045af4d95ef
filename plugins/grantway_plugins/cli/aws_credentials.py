"""``grantway token --format aws``: AWS credentials of a role, for ``credential_process``.

See https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from grantway._exceptions import LoginNeededError
from grantway._secrets.params import Params
from grantway._secrets.redaction import harmless

if TYPE_CHECKING:
    from grantway_plugins.aws._login.session import SsoSession


def reject_profile() -> NoReturn:
    """Reject a profile, because only AWS can issue AWS credentials.

    Raises:
        click.UsageError: Always; names the alternatives.
    """
    raise click.UsageError(
        "--format aws needs --sso-session or --sso-profile: AWS issues credentials for logins to "
        "IAM Identity Center. To use the token of a profile with an IAM OIDC provider, write it to "
        "the file in AWS_WEB_IDENTITY_TOKEN_FILE."
    )


class AwsRole(NamedTuple):
    """A role in an AWS account.

    Attributes:
        sso_profile: Profile of ``~/.aws/config`` that names the account and the role, or None.
        account_id: Account to use instead of the profile's, or None.
        name: Name of the role to use instead of the profile's, or None.
    """

    sso_profile: str | None
    account_id: str | None
    name: str | None


def role_credentials(session: SsoSession, access_token: str, role: AwsRole) -> str:
    """Exchange the token of a login for the credentials of a role, as one line of JSON.

    Args:
        session: The login.
        access_token: Its access token.
        role: The role.

    Raises:
        click.ClickException: botocore is missing, the account or the role is unknown, or AWS
            rejected the request.
        LoginNeededError: AWS rejected the token.
    """
    try:
        import botocore.session  # noqa: PLC0415 - an extra, and slow to load
        from botocore import UNSIGNED  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise click.ClickException(
            f"--format aws needs {missing.name}; install it with: pip install 'grantway[aws]'"
        ) from None
    config = session.config
    try:
        aws: Any = botocore.session.Session(profile=role.sso_profile)
        scoped = aws.get_scoped_config() if role.sso_profile else {}
        wanted = {
            "accountId": role.account_id or scoped.get("sso_account_id"),
            "roleName": role.name or scoped.get("sso_role_name"),
        }
        if None in wanted.values():
            raise click.UsageError(
                "--format aws needs --account-id and --role-name, or --sso-profile with a profile "
                "that has sso_account_id and sso_role_name."
            )
        # With keys, botocore does not look for credentials, which could run this command again.
        client = aws.create_client(
            "sso",
            region_name=config.region,
            aws_access_key_id="unused",
            aws_secret_access_key="unused",
            config=Config(signature_version=UNSIGNED),
        )
        request = Params({**wanted, "accessToken": access_token})
        found = Params(client.get_role_credentials(**request)["roleCredentials"])
    except (BotoCoreError, ClientError) as error:
        reason = harmless(str(error))
        rejected = isinstance(error, ClientError) and _code(error) == "UnauthorizedException"
    else:
        shown = json.dumps(
            {
                "Version": 1,
                "AccessKeyId": found["accessKeyId"],
                "SecretAccessKey": found["secretAccessKey"],
                "SessionToken": found["sessionToken"],
                "Expiration": f"{datetime.fromtimestamp(found['expiration'] // 1000, UTC):%FT%TZ}",
            }
        )
        return f"{shown}\n"
    if rejected:
        raise LoginNeededError(f"AWS rejected the login; run: grantway login {config.option}")
    raise click.ClickException(f"Cannot get credentials of the role from AWS: {reason}")


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code"))
