"""``grantway --help``, printed without click, which takes longer to import than Python to start.

This module does not import ``__future__``, for the same reason.
"""

import os

ABOUT = "Get, store and refresh OAuth tokens for programs, gateways and command lines."
#: Summary of each command. A command has a module of the same name, imported when it is run.
COMMANDS = {
    "client": "Add, list, rotate and remove clients of the embedded issuer.",
    "completion": "Print a shell completion script for commands and profiles.",
    "demo": "Run all three grants against an embedded issuer and show each step.",
    "doctor": "Find problems with this installation and say how to fix them.",
    "gateway": "Run a gateway that adds tokens to the requests it forwards.",
    "grants": "List the registered grants with fields, replay class and owner.",
    "init": "Create a profile for a provider without writing TOML.",
    "login": "Log in to a profile or a provider.",
    "logout": "Revoke a profile's token and delete it.",
    "new-plugin": "Create a package with a new grant, its issuer side and tests.",
    "plugins": "List the installed plugins and say why some are not loaded.",
    "serve": "Run the embedded issuer.",
    "status": "Show whether you are logged in, as whom and for how long.",
    "token": "Print a valid access token of a profile.",
}
_OPTIONS = {
    "--version": "Show the version and exit.",
    "-h, --help": "Show this message and exit.",
}
#: Widest text, and narrowest, as in click.
_WIDEST, _NARROWEST = 78, 50
#: Columns of a terminal whose width is unknown.
_DEFAULT = 80


def overview() -> str:
    """Return the help in the format of click."""
    from textwrap import fill  # noqa: PLC0415 - app.py imports this module too

    width = max(min(_columns() - 2, _WIDEST), _NARROWEST)
    indent = "  "
    parts = [
        "Usage: grantway [OPTIONS] COMMAND [ARGS]...",
        fill(ABOUT, width, initial_indent=indent, subsequent_indent=indent),
    ]
    for title, entries in (("Options", _OPTIONS), ("Commands", COMMANDS)):
        first = max(len(name) for name in entries) + 2
        lines = [
            fill(
                text,
                width,
                initial_indent=f"{indent}{name:{first}}",
                subsequent_indent=indent + " " * first,
            )
            for name, text in sorted(entries.items())
        ]
        parts.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join(parts)


def _columns() -> int:
    """Return the width of the terminal, as ``shutil.get_terminal_size`` does."""
    try:
        if (columns := int(os.environ.get("COLUMNS", ""))) > 0:
            return columns
    except ValueError:
        pass
    try:
        return os.get_terminal_size(1).columns or _DEFAULT  # 1 is standard output
    except OSError:
        return _DEFAULT
