"""Log in with a grant whose login a plugin provides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grantway._exceptions import GrantwayError, PluginError
from grantway._plugins.kinds import LOGIN_FLOW
from grantway._requests.login import LoginContext
from grantway._types.callables import kind_of
from grantway._types.token import Token

if TYPE_CHECKING:
    from grantway._requests.client import Client
    from grantway_plugins.profiles._profile import Profile

    from .login_screen import LoginScreen


def run_login_flow(
    profile: Profile, client: Client, screen: LoginScreen, scope: tuple[str, ...] | None
) -> Token:
    """Return the token of a plugin's login flow.

    Args:
        profile: The profile.
        client: Its client.
        screen: The terminal.
        scope: Scope to request.

    Raises:
        PluginError: The flow raised another exception or returned no token; names the plugin.
        GrantwayError: The flow failed, or cannot be imported.
        KeyboardInterrupt: The user cancelled.
    """
    registry, grant_type = client.registry, str(profile.login_grant)
    flow, grant = registry.login_flows[grant_type], registry.grant(grant_type)
    params, extra = profile.parameters(grant)
    context = LoginContext(
        client=client,
        grant_type=grant_type,
        screen=screen,
        params=grant.names.to_arguments(params),
        scope=scope,
        resource=profile.resource,
        extra=extra,
    )
    plugin = registry.owner_of(LOGIN_FLOW, grant_type).named
    try:
        token: object = flow(context)
    except (GrantwayError, click.ClickException):
        raise
    except click.Abort:  # click's prompts raise it for Ctrl-C
        raise KeyboardInterrupt from None
    except Exception as error:
        # Its message may contain what the user typed.
        problem = f"raised {type(error).__name__} in {_place(error)}"
        raise _broken(grant_type, plugin, problem) from error
    if isinstance(token, Token):
        return token
    raise _broken(grant_type, plugin, f"returned {kind_of(token)}, not a grantway.Token")


def _broken(grant_type: str, plugin: str, problem: str) -> PluginError:
    return PluginError(
        f"The login flow for {grant_type}, of the plugin {plugin}, {problem}; nothing was stored. "
        "Report it to the author of the plugin.",
        plugin=plugin,
    )


def _place(error: Exception) -> str:
    """Return the file and the line that raised an exception."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace else "C code"
