"""Registration of the sources. Each is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping

from grantway.hookspecs import hookimpl


@hookimpl
def grantway_register_secret_sources() -> Mapping[str, str]:
    """Return references to the sources by name."""
    workloads = f"{__package__}._workloads"
    return {
        "aws_web_identity": f"{workloads}.token_files:AwsWebIdentityToken",
        "azure": f"{workloads}.azure:AzureToken",
        "command": "grantway_plugins.executable._secret:CommandSource",
        "env": f"{__package__}._environment:EnvironmentSecret",
        "file": f"{__package__}._file:FileSecret",
        "github_actions": f"{workloads}.github_actions:GitHubActionsToken",
        "google_cloud": f"{workloads}.google_cloud:GoogleCloudToken",
        "keyring": f"{__package__}._keyring:KeyringSecret",
        "kubernetes": f"{workloads}.token_files:KubernetesToken",
        "spiffe": f"{workloads}.token_files:SpiffeToken",
    }
