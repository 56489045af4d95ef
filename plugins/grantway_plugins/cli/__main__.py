"""``python -m grantway_plugins.cli``: the command line where no script was installed."""

from . import main

main()
