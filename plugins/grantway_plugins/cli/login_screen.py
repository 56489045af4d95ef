"""What a person sees while they log in: in a terminal a QR code and a clock, else plain lines."""

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

#: Times a second that the clock is drawn anew.
_DRAWN = 4


class Screen:
    """Shows the steps of a login.

    Args:
        terminal: Where.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""
        self._terminal.line((text, style))

    @contextmanager
    def device(self, authorization: DeviceAuthorization) -> Iterator[None]:
        """The address, the code, a QR code that holds both, and how long they last."""
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
            self.say(f"The code lasts {authorization.expires_in:.0f} seconds.")
        with self._clock("Waiting for you to approve", authorization.remaining):
            yield

    @contextmanager
    def browser(self, timeout: float) -> Iterator[None]:
        """How long the person has in the browser."""
        end = time.monotonic() + timeout
        with self._clock("Waiting for the browser", lambda: end - time.monotonic()):
            yield

    def show_address(self, url: str) -> None:
        """Show where to log in, before a browser opens."""
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
        """Show where to log in, and take the address where it ended."""
        pasted = ""
        with line_reader() as read:
            self.say("Open this address in any browser, and log in:")
            self.say(url)
            self.say("The page at the end may not load. Copy its whole address from the browser.")
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
            "Nothing was pasted before the input ended. Run the command in a terminal, or use "
            "--device."
        )

    @contextmanager
    def _clock(self, doing: str, remaining: Callable[[], float]) -> Iterator[None]:
        if not self._terminal.interactive:
            yield
            return

        def line() -> Text:
            minutes, seconds = divmod(int(max(0.0, remaining())), 60)
            return Text(f"{doing}: {minutes}:{seconds:02} left, Ctrl-C ends it", style="dim")

        with Live(
            console=self._terminal.console,
            get_renderable=line,
            refresh_per_second=_DRAWN,
            transient=True,
        ):
            yield
