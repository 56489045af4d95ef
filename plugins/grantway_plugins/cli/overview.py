"""``grantway --help``, printed without click, which takes longer to import than Python to start.

This module does not import ``__future__``, for the same reason.
"""

import os

ABOUT = "Get, store and refresh OAuth tokens for programs, gateways and command lines."
#: Summary of each command. A command has a module of the same name, imported when it is run.
COMMANDS = {
    "clients": "Add, list, rotate and remove clients of the embedded issuer.",
    "completion": "Print a shell completion script for commands and profiles.",
    "demo": "Run all three grants against an embedded issuer and show each step.",
    "doctor": "Find problems with this installation and say how to fix them.",
    "gateway": "Run a gateway that adds tokens to the requests it forwards.",
    "grants": "List the registered grants with fields, replay class and owner.",
    "init": "Create a profile for a provider without writing TOML.",
    "keys": "List, rotate and remove the signing keys of the embedded issuer.",
    "login": "Log in to a profile, a provider, an API or an MCP server.",
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
    """Return the help, in the format of click."""
    from .command_names import command_names  # noqa: PLC0415 - it imports this module

    width = max(min(_columns() - 2, _WIDEST), _NARROWEST)
    plugins = {name: f"From {owner}." for name, owner in command_names().items()}
    sections = {"Options": _OPTIONS, "Commands": COMMANDS, "Commands of plugins": plugins}
    parts = ["Usage: grantway [OPTIONS] COMMAND [ARGS]...", _filled("  ", ABOUT, width)]
    for title, entries in sections.items():
        if entries:
            first = max(len(name) for name in entries) + 2
            lines = [
                _filled(f"  {name:{first}}", text, width) for name, text in sorted(entries.items())
            ]
            parts.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join(parts)


def _filled(start: str, text: str, width: int) -> str:
    """Return lines of at most ``width`` columns, as textwrap, which is slow to import, would."""
    lines, line, indent = [], start, " " * len(start)
    for word in text.split():
        if len(line) + len(word) > width and line not in {start, indent}:
            lines.append(line.rstrip())
            line = indent
        line += f"{word} "
    return "\n".join([*lines, line.rstrip()])


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
