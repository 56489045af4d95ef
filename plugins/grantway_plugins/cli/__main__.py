"""``python -m grantway_plugins.cli``, for environments without the ``grantway`` script."""

from . import main

main()
