"""AWS's SSO-OIDC: its dialect, a drop-in for ``boto3.client("sso-oidc")``, and SSO sessions.

::

    from grantway_plugins import aws

    client = aws.client(region_name="eu-west-1")
    registration = client.register_client(clientName="my-tool", clientType="public")

    with aws.sso_session("my-session") as session:
        token = session.credential().token()
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._botocore_token import BotocoreTokenProvider as BotocoreTokenProvider
    from ._cache.store import AwsCliStore as AwsCliStore
    from ._config.sso_config import SsoConfig as SsoConfig
    from ._dialect import AWS_SSO_OIDC as AWS_SSO_OIDC
    from ._drop_in.client import SSOOIDCClient as SSOOIDCClient, client as client
    from ._iam import AwsIam as AwsIam
    from ._login.session import SsoSession as SsoSession, sso_session as sso_session
    from ._region_error import InvalidRequestRegionException as InvalidRequestRegionException

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._botocore_token": "BotocoreTokenProvider",
            "._cache.store": "AwsCliStore",
            "._config.sso_config": "SsoConfig",
            "._dialect": "AWS_SSO_OIDC",
            "._drop_in.client": "SSOOIDCClient client",
            "._region_error": "InvalidRequestRegionException",
            "._iam": "AwsIam",
            "._login.session": "SsoSession sso_session",
        },
    )
