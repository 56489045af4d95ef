"""Registration of the named dialects."""

from __future__ import annotations

from grantway._wire.dialect import Dialect
from grantway.hookspecs import hookimpl

from .china import DOUBAN, WEIBO
from .commerce import EBAY, MAILCHIMP, PAYPAL, PLENTYMARKETS, WIX
from .github import GITHUB
from .google import GOOGLE
from .health import FITBIT, WITHINGS
from .identity import AUTH0, KEYCLOAK, OKTA, WORKOS
from .meta import FACEBOOK, INSTAGRAM, THREADS
from .microsoft import MICROSOFT
from .slack import SLACK, SLACK_V2
from .social import DISCORD, LINKEDIN, SPOTIFY, TIKTOK, TWITCH
from .workplace import ATLASSIAN, CROWDSTRIKE, NOTION

#: Every named dialect, by name.
DIALECTS: tuple[Dialect, ...] = (
    ATLASSIAN,
    AUTH0,
    CROWDSTRIKE,
    DISCORD,
    DOUBAN,
    EBAY,
    FACEBOOK,
    FITBIT,
    GITHUB,
    GOOGLE,
    INSTAGRAM,
    KEYCLOAK,
    LINKEDIN,
    MAILCHIMP,
    MICROSOFT,
    NOTION,
    OKTA,
    PAYPAL,
    PLENTYMARKETS,
    SLACK,
    SLACK_V2,
    SPOTIFY,
    THREADS,
    TIKTOK,
    TWITCH,
    WEIBO,
    WITHINGS,
    WIX,
    WORKOS,
)


@hookimpl
def grantway_register_dialects() -> tuple[Dialect, ...]:
    """Register the dialects of known providers."""
    return DIALECTS
