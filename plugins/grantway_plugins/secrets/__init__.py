"""Sources of secrets: variables, files, the system's key ring, and the platforms of workloads.

::

    from grantway_plugins.secrets import FileSecret

    secret = FileSecret("/run/secrets/client-secret")
    client = grantway.Client(provider, client_id="my-client", client_secret=secret)

``KeyringSecret`` requires the extra ``keyring``.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._environment import EnvironmentSecret as EnvironmentSecret
    from ._file import FileSecret as FileSecret
    from ._keyring import KeyringSecret as KeyringSecret
    from ._workloads.azure import AzureToken as AzureToken
    from ._workloads.github_actions import GitHubActionsToken as GitHubActionsToken
    from ._workloads.google_cloud import GoogleCloudToken as GoogleCloudToken
    from ._workloads.token_files import (
        AwsWebIdentityToken as AwsWebIdentityToken,
        KubernetesToken as KubernetesToken,
        SpiffeToken as SpiffeToken,
    )

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._environment": "EnvironmentSecret",
            "._file": "FileSecret",
            "._keyring": "KeyringSecret",
            "._workloads.azure": "AzureToken",
            "._workloads.github_actions": "GitHubActionsToken",
            "._workloads.google_cloud": "GoogleCloudToken",
            "._workloads.token_files": "AwsWebIdentityToken KubernetesToken SpiffeToken",
        },
    )
