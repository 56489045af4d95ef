"""The output of a login: a QR code and a countdown in a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import segno
from rich.live import Live
from rich.text import Text

from grantway._secrets.redaction import harmless, visible
from grantway_grants._browser import open_browser
from grantway_grants.device_code import DeviceAuthorization

from .new_profile import is_interactive
from .pasting import line_reader
from .terminal import Terminal

#: Updates of the countdown per second.
_UPDATE_RATE = 4
_NO_ADDRESS = (
    "The input ended before an address was pasted. Run the command in a terminal, or use --device."
)


class LoginScreen:
    """Shows the steps of a login.

    Args:
        terminal: Terminal to print to.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    @property
    def interactive(self) -> bool:
        """Whether a user can answer."""
        return self._terminal.interactive and is_interactive()

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""
        self._terminal.line((text, style))

    def ask(self, question: str) -> str:
        """Return the user's answer, which is not empty.

        Raises:
            ClickException: The input ended.
        """
        return self._answer(f"{question}: ", _shown_line)

    def ask_secret(self, question: str) -> str:
        """Return the user's answer without showing it, and without spaces around it.

        Raises:
            ClickException: The input ended.
        """
        with line_reader() as read:
            return self._answer(f"{question} (it is not shown): ", lambda: read().strip())

    def show_address(self, url: str) -> None:
        """Show an address that the user must open; in a terminal also as a QR code."""
        self.say("Open this address:")
        self.say(url)
        self._qr_code(url)

    @contextmanager
    def device(self, authorization: DeviceAuthorization) -> Iterator[None]:
        """Show the address, the user code and a QR code, and a countdown while the block runs."""
        complete = authorization.verification_uri_complete
        self._terminal.line("Open  ", (authorization.verification_uri, "bold"))
        self._terminal.line("Enter ", (authorization.user_code, "bold cyan"))
        if complete:
            self.say(f"or open {complete}")
        self._qr_code(complete or authorization.verification_uri)
        if not self._terminal.interactive:
            self.say(f"The code expires in {authorization.expires_in:.0f} seconds.")
        with self._countdown("Waiting for you to approve", authorization.remaining):
            yield

    @contextmanager
    def browser(self, timeout: float) -> Iterator[None]:
        """Show a countdown of the browser login while the block runs."""
        end = time.monotonic() + timeout
        with self._countdown("Waiting for the browser", lambda: end - time.monotonic()):
            yield

    def before_browser(self, url: str) -> None:
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
        with line_reader() as read:
            self.say("Open this address in any browser, and log in:")
            self.say(url)
            self.say("The last page may not load. Copy its complete address from the browser.")
            prompt = "Paste it here (it is not shown): "
            return self._answer(prompt, lambda: visible(read()), _NO_ADDRESS)

    def _answer(
        self,
        prompt: str,
        read: Callable[[], str],
        ended: str = "The input ended without an answer. Run the command in a terminal.",
    ) -> str:
        """Prompt until the user types something; ``ended`` is the error at the end of the input."""
        answer = ""
        try:
            while not answer:
                self._terminal.console.print(Text(harmless(prompt)), end="")
                answer = read()
                if read is not _shown_line:  # the line feed was not shown either
                    self.say("")
        except EOFError:
            self.say("")
        if answer:
            return answer
        raise click.ClickException(ended)

    def _qr_code(self, url: str) -> None:
        if self._terminal.interactive:
            drawn = io.StringIO()
            try:
                segno.make(url).terminal(drawn, compact=True)
            except ValueError:  # longer than a QR code can be; the address itself is shown
                return
            self._terminal.console.print(Text.from_ansi(drawn.getvalue()))

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


def _shown_line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return visible(line)
