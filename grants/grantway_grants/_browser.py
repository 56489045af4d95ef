"""Open a URL in a browser on this machine."""

from __future__ import annotations

import os
import subprocess
import webbrowser


def open_browser(url: str) -> bool:
    """Open a URL in the browser that ``BROWSER`` names, or in the system's default browser.

    Call this in a thread: it returns when the command that opens the browser exits, which may be
    when the user closes the browser.

    Args:
        url: The URL. Another one than http and https is not opened: it could be an option of the
            browser's command, or run a program.

    Returns:
        Whether a browser was opened.
    """
    if not url.lower().startswith(("https://", "http://")):
        return False
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
    # BackgroundBrowser ignores the exit code, and xdg-open exits with an error without a browser.
    command = [browser.name, *(argument.replace("%s", url) for argument in browser.args)]
    try:
        done = subprocess.run(command, start_new_session=True, check=False)  # noqa: S603 - the user's own
    except OSError:
        return False
    return done.returncode == 0
