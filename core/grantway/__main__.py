"""Run the command line as ``python -m grantway``."""

from __future__ import annotations

import sys
from importlib import metadata


def main() -> None:
    """Run the ``grantway`` script that this package was installed with."""
    for script in metadata.entry_points(group="console_scripts", name="grantway"):
        script.load()()
        return
    sys.exit(
        "grantway: its command line is not installed; "
        "install it with: pip install --force-reinstall 'grantway[cli]'"
    )


main()
