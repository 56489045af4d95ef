"""``grantway demo``: run all three grants with the real client against an embedded issuer."""

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
from grantway._transport.transport import HttpTransport
from grantway._types.token import Token
from grantway_grants import authorization_code, device_code, refresh_token
from grantway_plugins import aws
from grantway_plugins.issuer import IssuerServer, IssuerSettings, Lifetimes
from grantway_plugins.issuer._browser_driver import BrowserDriver

from .recording_transport import Recording, RecordingTransport
from .terminal import Terminal

DialectName = Literal["rfc6749", "aws-sso-oidc"]
_SCOPES = ["sso:account:access"]
_REDIRECT = "http://127.0.0.1/oauth/callback"
_START_URL = "https://d-0000000000.awsapps.com/start"
_LEAST_ERROR = 400


@dataclass(slots=True)
class Outcome:
    """The result of one grant.

    Attributes:
        milliseconds: Time from the first request to the token, including the user's approval.
        fields: Names of the fields that the token has.
        error: Error message; empty on success.
    """

    milliseconds: float = 0.0
    fields: list[str] = field(default_factory=list)
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as ``--json`` prints it."""
        shown: dict[str, Any] = {
            "ok": not self.error,
            "milliseconds": round(self.milliseconds, 1),
            "fields": self.fields,
        }
        return shown | ({"error": self.error} if self.error else {})


class Demo:
    """One run of the demo: a client, and a browser driver that approves its logins.

    Args:
        dialect: Dialect of the client and the issuer.
        console: Console on which to show the steps; quiet for ``--json``.

    Attributes:
        outcomes: Outcome of each grant that was tried, by grant type.
    """

    def __init__(self, dialect: DialectName, console: Console) -> None:
        self._dialect: DialectName = dialect
        self._console = console
        self._transport = RecordingTransport(HttpTransport(trust_env=False))
        self._shown = 0
        self._browser_driver = BrowserDriver()
        self.outcomes: dict[str, Outcome] = {}

    def run(self, issuer: str) -> None:
        """Register a client and request a token with each grant."""
        provider = Provider.discover(issuer, dialect=self._dialect, transport=self._transport)
        client_id, client_secret = self._register(issuer)
        self._show("Register a client")
        client = Client(
            provider,
            client_id=client_id,
            client_secret=client_secret,
            # RegisterClient issues a secret for the request body, in either dialect.
            auth="client_secret_post",
            transport=self._transport,
        )
        with client, self._browser_driver:
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
        """Register with AWS's call; the client can then use either dialect."""
        registration = aws.client(
            region_name="us-east-1", endpoint_url=issuer, transport=self._transport
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

        def approve(state: str) -> None:
            if not approved:
                self._browser_driver.approve_device(
                    authorization.verification_uri, authorization.user_code
                )
                approved.append(state)
                self._say("the user approves on the issuer's page")

        return flow.wait(authorization, on_poll=approve)

    def _browser(self, client: Client) -> Token:
        def open_browser(url: str) -> None:
            self._say("the browser opens the issuer's page, and the user approves")
            self._browser_driver.visit(self._browser_driver.approve_authorization(url))

        return authorization_code.login(
            client, scope=_SCOPES, redirect_uri=_REDIRECT, open_browser=open_browser, timeout=30
        )

    @staticmethod
    def _refresh(client: Client, token: Token | None) -> Token:
        if token is None:
            raise FlowError("No token to refresh: the authorization code login failed.")
        return client.create_token(
            grant_type=refresh_token.GRANT_TYPE, refresh_token=token.refresh_token
        )

    def _try(self, title: str, grant_type: str, request: Callable[[], Token]) -> Token | None:
        outcome = self.outcomes[grant_type] = Outcome()
        self._console.print()
        self._console.print(Text.assemble((title, "bold"), ("  grant_type ", "dim"), grant_type))
        began = time.perf_counter()
        try:
            token = request()
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
        """Show the requests and responses since the last call."""
        if title:
            self._console.print(Text(title, style="bold"))
        for recording in self._transport.recordings[self._shown :]:
            self._console.print(_line("->", recording.request, recording.sent))
            self._console.print(_response(recording))
        self._shown = len(self._transport.recordings)


def _line(arrow: str, head: str, shown: dict[str, Any]) -> Text:
    parts: list[Any] = [(f"  {arrow} ", "dim"), (head, "bold" if arrow == "->" else "")]
    for name, value in shown.items():
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        parts += [(f" {name}=", "dim"), text]
    return Text.assemble(*parts)


def _response(recording: Recording) -> Text:
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

    The issuer listens on a free port of 127.0.0.1, with its database in memory, and stops at the
    end. A browser driver acts as the user: it opens the issuer's pages and presses Allow. Requests
    use real sockets. Secrets are masked.
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
        console.print(Text("\nAll three grants returned a token.", style="green"))
    if failed:
        sys.exit(1)
