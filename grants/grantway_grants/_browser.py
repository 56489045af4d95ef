"""Opens the browser of this machine, and tells whether that worked."""

from __future__ import annotations

import os
import subprocess
import webbrowser


def open_browser(url: str) -> bool:
    """Open an address in the browser that ``BROWSER`` names, or in the system's.

    Returns when the command that opens it has ended, which may be when the person closes the
    browser; call it in a thread.

    Args:
        url: The address.

    Returns:
        Whether a browser was opened.
    """
    named = [name for name in os.environ.get("BROWSER", "").split(os.pathsep) if name]
    return any(_open(name, url) for name in named) if named else _open(None, url)


def _open(name: str | None, url: str) -> bool:
    try:
        browser = webbrowser.get(name)
    except webbrowser.Error:
        if name is None:
            return False
        browser = webbrowser.GenericBrowser(name)
    if not isinstance(browser, webbrowser.BackgroundBrowser):
        return browser.open(url)
    # By itself it does not look how the command ends; xdg-open fails if there is no browser.
    command = [browser.name, *(argument.replace("%s", url) for argument in browser.args)]
    try:
        done = subprocess.run(command, start_new_session=True, check=False)  # noqa: S603 - the person's own
    except OSError:
        return False
    return done.returncode == 0
