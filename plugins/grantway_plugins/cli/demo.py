"""``grantway demo``: an issuer of your own, and all three grants through the real client."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import click
from rich.console import Console
from rich.text import Text

from grantway._exceptions import FlowError, GrantwayError
from grantway._requests.client import Client
from grantway._requests.provider import Provider
from grantway._transport.transport import RequestsTransport
from grantway._types.token import Token
from grantway_grants import authorization_code, device_code, refresh_token
from grantway_plugins import aws
from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from grantway_plugins.issuer._browser_driver import BrowserDriver

from .recording_transport import Recording, Tape
from .terminal import Terminal

DialectName = Literal["rfc6749", "aws-sso-oidc"]
_SCOPES = ["sso:account:access"]
_REDIRECT = "http://127.0.0.1/oauth/callback"
_START_URL = "https://d-0000000000.awsapps.com/start"
_LEAST_ERROR = 400


@dataclass(slots=True)
class Outcome:
    """How one grant went.

    Attributes:
        milliseconds: From the first request to the token, waits for the person included.
        fields: Token fields that were present.
        error: What went wrong; empty when nothing did.
    """

    milliseconds: float = 0.0
    fields: list[str] = field(default_factory=list)
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """The outcome as ``--json`` prints it."""
        shown: dict[str, Any] = {
            "ok": not self.error,
            "milliseconds": round(self.milliseconds, 1),
            "fields": self.fields,
        }
        return shown | ({"error": self.error} if self.error else {})


class Demo:
    """One run: an issuer, a person at its pages, and a client.

    Args:
        dialect: How client and issuer speak.
        console: Where the steps are shown; quiet for ``--json``.
    """

    def __init__(self, dialect: DialectName, console: Console) -> None:
        self._dialect: DialectName = dialect
        self._console = console
        self._tape = Tape(RequestsTransport(trust_env=False))
        self._shown = 0
        self._person = BrowserDriver()
        self.outcomes: dict[str, Outcome] = {}

    def run(self, issuer: str) -> None:
        """Register a client and ask for a token by each grant."""
        provider = Provider.discover(issuer, dialect=self._dialect, transport=self._tape)
        client_id, client_secret = self._register(issuer)
        self._show("Register a client")
        client = Client(
            provider,
            client_id=client_id,
            client_secret=client_secret,
            # What RegisterClient gives is used in the body, whatever the dialect.
            auth="client_secret_post",
            transport=self._tape,
        )
        with client, self._person:
            self._try("Device code", device_code.GRANT_TYPE, lambda: self._device(client))
            token = self._try(
                "Authorization code with PKCE",
                authorization_code.GRANT_TYPE,
                lambda: self._browser(client),
            )
            self._try(
                "Refresh token", refresh_token.GRANT_TYPE, lambda: self._refresh(client, token)
            )

    def _register(self, issuer: str) -> tuple[str, str]:
        """Register by AWS's call; the issuer's clients may speak either dialect."""
        registration = aws.client(
            region_name="us-east-1", endpoint_url=issuer, transport=self._tape
        ).register_client(
            clientName="grantway-demo",
            clientType="public",
            scopes=_SCOPES,
            redirectUris=[_REDIRECT],
            grantTypes=[
                device_code.GRANT_TYPE,
                authorization_code.GRANT_TYPE,
                refresh_token.GRANT_TYPE,
            ],
        )
        return registration["clientId"], registration["clientSecret"]

    def _device(self, client: Client) -> Token:
        extra = {"start_url": _START_URL} if self._dialect == "aws-sso-oidc" else {}
        flow = device_code.DeviceFlow(client, scope=_SCOPES, extra=extra)
        authorization = flow.start()
        self._say(f"open {authorization.verification_uri} and enter {authorization.user_code}")
        approved: list[str] = []

        def approve(said: str) -> None:
            if not approved:
                self._person.approve_device(authorization.verification_uri, authorization.user_code)
                approved.append(said)
                self._say("the person approves at the issuer's page")

        return flow.wait(authorization, on_poll=approve)

    def _browser(self, client: Client) -> Token:
        def open_browser(url: str) -> None:
            self._say("the browser opens the issuer's page, and the person approves")
            back = self._person.approve_authorization(url)
            self._person.visit(back)

        return authorization_code.login(
            client, scope=_SCOPES, redirect_uri=_REDIRECT, open_browser=open_browser, timeout=30
        )

    @staticmethod
    def _refresh(client: Client, token: Token | None) -> Token:
        if token is None:
            raise FlowError("There is nothing to refresh: the login before it failed.")
        return client.create_token(
            grant_type=refresh_token.GRANT_TYPE, refresh_token=token.refresh_token
        )

    def _try(self, title: str, grant_type: str, ask: Callable[[], Token]) -> Token | None:
        outcome = self.outcomes[grant_type] = Outcome()
        self._console.print()
        self._console.print(Text.assemble((title, "bold"), ("  grant_type ", "dim"), grant_type))
        began = time.perf_counter()
        try:
            token = ask()
        except GrantwayError as error:
            self._show()
            outcome.error = f"{type(error).__name__}: {error}"
            self._console.print(Text(f"  failed: {outcome.error}", style="red"))
            return None
        finally:
            outcome.milliseconds = (time.perf_counter() - began) * 1000
        self._show()
        outcome.fields = [name for name in Token.__slots__ if getattr(token, name)]
        self._console.print(
            Text.assemble(
                ("  token ", "green"),
                ", ".join(outcome.fields),
                (f"  in {outcome.milliseconds:.0f} ms", "dim"),
            )
        )
        return token

    def _say(self, text: str) -> None:
        self._show()
        self._console.print(Text(f"  * {text}", style="cyan"))

    def _show(self, title: str = "") -> None:
        """Show what went over the wire since the last time."""
        if title:
            self._console.print(Text(title, style="bold"))
        for recording in self._tape.recordings[self._shown :]:
            self._console.print(_line("->", recording.request, recording.sent))
            self._console.print(_answer(recording))
        self._shown = len(self._tape.recordings)


def _line(arrow: str, head: str, shown: dict[str, Any]) -> Text:
    parts: list[Any] = [(f"  {arrow} ", "dim"), (head, "bold" if arrow == "->" else "")]
    for name, value in shown.items():
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        parts += [(f" {name}=", "dim"), text]
    return Text.assemble(*parts)


def _answer(recording: Recording) -> Text:
    style = "yellow" if recording.status >= _LEAST_ERROR else ""
    line = _line("<-", str(recording.status), recording.received)
    line.stylize(style)
    return line.append(f"  {recording.milliseconds:.1f} ms", style="dim")


@contextmanager
def _issuer() -> Iterator[IssuerServer]:
    settings = IssuerSettings(lifetimes=Lifetimes(device_interval=1))
    with IssuerServer(settings, database=":memory:") as server:
        yield server


@click.command(name="demo")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option(
    "--dialect",
    type=click.Choice(["rfc6749", "aws-sso-oidc"]),
    default="rfc6749",
    show_default=True,
    help="Dialect of the client and the issuer.",
)
def command(*, as_json: bool, dialect: DialectName) -> None:
    """Run all three grants against an embedded issuer and show each step.

    The issuer listens on a free port of 127.0.0.1 and keeps its database in memory. A program
    plays the person: it opens the issuer's pages and presses Allow. Every request goes over a
    real socket; secrets are masked. Nothing is left running.
    """
    console = Terminal(quiet=as_json).console
    demo = Demo(dialect, console)
    with _issuer() as server:
        console.print(Text.assemble("The issuer listens on ", (server.url, "bold"), "\n"))
        demo.run(server.url)
    failed = [grant_type for grant_type, outcome in demo.outcomes.items() if outcome.error]
    if as_json:
        report = {
            "ok": not failed,
            "issuer": server.url,
            "dialect": dialect,
            "grants": {name: outcome.as_json() for name, outcome in demo.outcomes.items()},
        }
        click.echo(json.dumps(report, indent=2))
    elif not failed:
        console.print(Text("\nAll three grants brought a token.", style="green"))
    if failed:
        sys.exit(1)
