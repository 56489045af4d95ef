"""What a person sees while they log in: in a terminal a QR code and a clock, else plain lines."""

from __future__ import annotations

import io
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import segno
from rich.console import Console
from rich.live import Live
from rich.text import Text

from grantway_grants.device_code import DeviceAuthorization

#: Times a second that the clock is drawn anew.
_DRAWN = 4


class Screen:
    """Shows the steps of a login.

    Args:
        console: Where.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self._console.print(Text(text, style=style))

    @contextmanager
    def device(self, authorization: DeviceAuthorization) -> Iterator[None]:
        """The address, the code, a QR code that holds both, and how long they last."""
        complete = authorization.verification_uri_complete
        self._console.print(
            Text.assemble(
                "Open  ",
                (authorization.verification_uri, "bold"),
                "\nEnter ",
                (authorization.user_code, "bold cyan"),
            )
        )
        if complete:
            self.say(f"or open {complete}")
        if self._console.is_terminal:
            drawn = io.StringIO()
            segno.make(complete or authorization.verification_uri).terminal(drawn, compact=True)
            self._console.print(Text.from_ansi(drawn.getvalue()))
        else:
            self.say(f"The code lasts {authorization.expires_in:.0f} seconds.")
        with self._clock("Waiting for you to approve", authorization.remaining):
            yield

    @contextmanager
    def browser(self, timeout: float) -> Iterator[Callable[[str], None]]:
        """What opens the browser, and how long the person has."""
        end = time.monotonic() + timeout

        def open_browser(url: str) -> None:
            opened = webbrowser.open(url)
            self.say(
                "A browser was opened. If it shows nothing, open this address on this machine:"
                if opened
                else "No browser could be opened. Open this address on this machine, or end this "
                "and use --paste or --device:"
            )
            self.say(url)

        with self._clock("Waiting for the browser", lambda: end - time.monotonic()):
            yield open_browser

    def paste(self, url: str) -> str:
        """Show where to log in, and take the address where it ended."""
        self.say("Open this address in any browser, and log in:")
        self.say(url)
        self.say("The page at the end may not load. Copy its whole address from the browser.")
        # Not by click, which ends at Ctrl-C and at the end of the input alike.
        try:
            while not (pasted := self._console.input("Paste it here: ").strip()):
                pass
        except EOFError:
            pasted = ""
        if pasted:
            return pasted
        raise click.ClickException(
            "nothing was pasted, and the input has ended; run it in a terminal, or use --device."
        )

    @contextmanager
    def _clock(self, doing: str, remaining: Callable[[], float]) -> Iterator[None]:
        if not self._console.is_terminal:
            yield
            return

        def line() -> Text:
            minutes, seconds = divmod(int(max(0.0, remaining())), 60)
            return Text(f"{doing}: {minutes}:{seconds:02} left, Ctrl-C ends it", style="dim")

        with Live(
            console=self._console,
            get_renderable=line,
            refresh_per_second=_DRAWN,
            transient=True,
        ):
            yield
