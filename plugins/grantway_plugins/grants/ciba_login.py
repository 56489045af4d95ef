"""``grantway login`` with CIBA."""

from __future__ import annotations

import secrets

from grantway._requests.login import LoginContext
from grantway._secrets.params import Params
from grantway._types.token import Token

from .ciba import CibaFlow

#: Parameters that identify the user. They are not sent with a refresh.
_HINTS = ("login_hint", "id_token_hint")


def log_in(login: LoginContext) -> Token:
    """Let the user approve on their own device, and return the token.

    The user is the one in the profile's ``extra``, by ``login_hint`` or ``id_token_hint``, or the
    one that the user of the terminal names.

    Args:
        login: The profile and the terminal.
    """
    extra = Params(login.extra)
    hints = Params({name: extra.pop(name) for name in _HINTS if name in extra})
    if not hints:
        host = login.client.provider.host
        hints["login_hint"] = login.screen.ask(f"Your user name or email address at {host}")
    message = secrets.token_hex(2).upper()
    flow = CibaFlow(login.client, scope=login.scope or ("openid",))
    pending = flow.start(**hints, binding_message=message, extra=extra, resource=login.resource)
    login.screen.say(f"Approve the login on your device. It shows {message}.")
    return flow.wait(pending)
