"""The output of a login: a QR code and a countdown in a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import segno
from rich.live import Live
from rich.text import Text

from grantway._secrets.redaction import visible
from grantway_grants._browser import open_browser
from grantway_grants.device_code import DeviceAuthorization

from .pasting import line_reader
from .terminal import Terminal

#: Updates of the countdown per second.
_UPDATE_RATE = 4


class LoginScreen:
    """Shows the steps of a login.

    Args:
        terminal: Terminal to print to.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""
        self._terminal.line((text, style))

    @contextmanager
    def device(self, authorization: DeviceAuthorization) -> Iterator[None]:
        """Show the address, the user code and a QR code, and a countdown while the block runs."""
        complete = authorization.verification_uri_complete
        self._terminal.line("Open  ", (authorization.verification_uri, "bold"))
        self._terminal.line("Enter ", (authorization.user_code, "bold cyan"))
        if complete:
            self.say(f"or open {complete}")
        if self._terminal.interactive:
            drawn = io.StringIO()
            segno.make(complete or authorization.verification_uri).terminal(drawn, compact=True)
            self._terminal.console.print(Text.from_ansi(drawn.getvalue()))
        else:
            self.say(f"The code expires in {authorization.expires_in:.0f} seconds.")
        with self._countdown("Waiting for you to approve", authorization.remaining):
            yield

    @contextmanager
    def browser(self, timeout: float) -> Iterator[None]:
        """Show a countdown of the browser login while the block runs."""
        end = time.monotonic() + timeout
        with self._countdown("Waiting for the browser", lambda: end - time.monotonic()):
            yield

    def show_address(self, url: str) -> None:
        """Show the login address, before a browser opens."""
        self.say("If no browser opens, open this address on this machine:")
        self.say(url)

    def open_browser(self, url: str) -> None:
        """Open the browser; if there is none, print the alternatives."""
        if not open_browser(url):
            self.say(
                "No browser could be opened. Open the address in a browser that can reach this "
                "machine, or press Ctrl-C and log in with --device or --paste."
            )

    def paste(self, url: str) -> str:
        """Show the login address, and return the address that the user pastes.

        Raises:
            ClickException: The input ended before an address was pasted.
        """
        pasted = ""
        with line_reader() as read:
            self.say("Open this address in any browser, and log in:")
            self.say(url)
            self.say("The last page may not load. Copy its complete address from the browser.")
            try:
                while not pasted:
                    self._terminal.console.print("Paste it here (it is not shown): ", end="")
                    pasted = visible(read())
                    self.say("")
            except EOFError:
                self.say("")
        if pasted:
            return pasted
        raise click.ClickException(
            "The input ended before an address was pasted. Run the command in a terminal, or use "
            "--device."
        )

    @contextmanager
    def _countdown(self, activity: str, remaining: Callable[[], float]) -> Iterator[None]:
        if not self._terminal.interactive:
            yield
            return

        def line() -> Text:
            minutes, seconds = divmod(int(max(0.0, remaining())), 60)
            return Text(f"{activity}: {minutes}:{seconds:02} left, Ctrl-C to cancel", style="dim")

        with Live(
            console=self._terminal.console,
            get_renderable=line,
            refresh_per_second=_UPDATE_RATE,
            transient=True,
        ):
            yield
