"""The ``grantway`` command line. Each command has a module, which is imported when it is run.

This module does not import ``__future__``, so that ``grantway token`` starts quickly.
"""

import sys


def main() -> None:
    """Run the command line, or say how to install it if its libraries are missing."""
    if sys.argv[1:2] == ["token"]:
        from .fresh_token import print_fresh_token  # noqa: PLC0415 - for this command only

        if print_fresh_token(sys.argv[2:]):
            return
    if sys.argv[1:] in (["--help"], ["-h"]):
        from .overview import overview  # noqa: PLC0415 - for this option only

        sys.stdout.write(f"{overview()}\n")
        return
    try:
        from .app import app  # noqa: PLC0415 - click is an extra
    except ModuleNotFoundError as missing:
        if missing.name not in {"click", "rich"}:
            raise
        sys.exit(
            f"grantway: the command line needs {missing.name}; "
            "install it with: pip install 'grantway[cli]'"
        )
    app(prog_name="grantway")
