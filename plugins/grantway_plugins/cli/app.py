"""The group of commands, and the error handling that they share."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from grantway import __version__
from grantway._exceptions import GrantwayError, LoginNeededError
from grantway._secrets.redaction import harmless

from .command_names import command_names
from .options import login_options
from .overview import ABOUT, COMMANDS, overview

#: Commands whose argument is the name of a profile.
_PROFILE_COMMANDS = frozenset({"login", "logout", "status", "token"})

#: Exit status if the user must log in. Any other error is 1; click uses 2 for invalid options.
LOGIN_NEEDED = 3

#: Commands that run until they are stopped, and configure logging themselves.
_SERVICES = frozenset({"gateway", "serve"})
#: Commands whose output includes the plugins that are not loaded, with the reason.
_LISTING = frozenset({"doctor", "plugins"})
#: Commands that use plugins, but no profile.
_CONFIGURED = frozenset({"clients", "grants", "plugins", "serve"})


class _LoginNeeded(click.ClickException):
    exit_code = LOGIN_NEEDED


class _ProfileCompletion(click.Command):
    """Completes the argument and the options shared by the commands that take a profile.

    Attributes:
        known: The shared options.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.params = login_options(click.command()(lambda: None)).params
        self.known = {option for param in self.params for option in param.opts}

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete an option name. Only the command itself knows all of its options."""
        found = app.get_command(ctx, self.name or "")
        return [] if found is None else found.shell_complete(ctx, incomplete)


class _LazyGroup(click.Group):
    """Imports a command's module when that command is run. ``--help`` imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*COMMANDS, *command_names()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return _plugin_command(cmd_name, completing=ctx.resilient_parsing)
        try:
            module = import_module(f"{__package__}.{cmd_name.replace('-', '_')}")
        except ModuleNotFoundError as missing:
            if (missing.name or "").startswith("grantway"):
                raise
            raise click.ClickException(
                f"{cmd_name} needs {missing.name}; install it with: pip install 'grantway[all]'"
            ) from None
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Complete the name of a profile without importing the command, which is slow."""
        if ctx.resilient_parsing and args and args[0] in _PROFILE_COMMANDS:
            command = _ProfileCompletion(args[0])
            if all(each in command.known for each in args[1:] if each.startswith("-")):
                return command.name, command, args[1:]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=COMMANDS.get(name))
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]

    def get_help(self, ctx: click.Context) -> str:
        return overview()

    def invoke(self, ctx: click.Context) -> Any:
        """Print grantway's own errors as one message. Other exceptions keep their traceback."""
        try:
            return super().invoke(ctx)
        except GrantwayError as error:
            needed = isinstance(error, LoginNeededError)
            raise (_LoginNeeded if needed else click.ClickException)(harmless(str(error))) from None
        except RuntimeError as error:
            # Python 3.11 raises one for Ctrl-C while a class of an imported module is created.
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise click.Abort from None
            raise


def _plugin_command(name: str, *, completing: bool) -> click.Command | None:
    from .plugin_commands import command_named  # noqa: PLC0415 - only for commands of plugins

    try:
        return command_named(name)
    except GrantwayError:
        if completing:  # a shell shows no error while it completes
            return None
        raise


@click.group(cls=_LazyGroup, help=ABOUT, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="grantway")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Print warnings of the command that runs."""
    command = ctx.invoked_subcommand or ""
    if command in _CONFIGURED:
        from .plugin_settings import use_settings_in_profile_file  # noqa: PLC0415 - slow to load

        use_settings_in_profile_file()
    if command not in _SERVICES:
        warnings = _Warnings(plugins=command not in _LISTING)
        logger = logging.getLogger("grantway")
        logger.addHandler(warnings)
        ctx.call_on_close(lambda: logger.removeHandler(warnings))


class _Warnings(logging.Handler):
    """Prints each warning to stderr as one line, without a traceback.

    Args:
        plugins: Whether to print the warnings about plugins.
    """

    def __init__(self, *, plugins: bool) -> None:
        super().__init__(logging.WARNING)
        self._plugins = plugins

    def emit(self, record: logging.LogRecord) -> None:
        if self._plugins or not hasattr(record, "plugin"):
            click.echo(f"Warning: {record.getMessage()}", err=True)
