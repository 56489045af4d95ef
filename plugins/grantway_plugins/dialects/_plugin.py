"""Registration of the named dialects, each imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping

from grantway.hookspecs import hookimpl

#: Module -> names of its dialects. The constant ``SLACK_V2`` is the dialect ``slack-v2``.
_DIALECTS = {
    "china": "douban weibo",
    "commerce": "ebay mailchimp paypal plentymarkets wix",
    "github": "github",
    "google": "google",
    "health": "fitbit withings",
    "identity": "auth0 keycloak okta workos",
    "meta": "facebook instagram threads",
    "microsoft": "microsoft",
    "slack": "slack slack-v2",
    "social": "discord linkedin spotify tiktok twitch",
    "workplace": "atlassian crowdstrike notion",
}


@hookimpl
def grantway_register_dialects() -> Mapping[str, str]:
    """Register the dialects of known providers."""
    return {
        name: f"{__package__}.{module}:{name.replace('-', '_').upper()}"
        for module, names in _DIALECTS.items()
        for name in names.split()
    }
