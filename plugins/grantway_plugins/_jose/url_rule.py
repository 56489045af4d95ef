"""The rule for URLs of issuers and of their keys, without the libraries that verify tokens."""

from __future__ import annotations

from grantway._exceptions import ConfigurationError
from grantway._transport.http import require_secure


def url_problem(name: str, url: object) -> str | None:
    """Return the rule that a setting violates, or None: https, or http on this machine.

    Args:
        name: Name of the setting.
        url: Its value.
    """
    if not isinstance(url, str):
        return "must be a URL, like https://login.example.com"
    try:
        require_secure(url, name)
    except ConfigurationError as error:
        return error.message.removeprefix(f"{name}: ").rstrip(".")
    return None
