"""``grantway status``: show the login status of profiles."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import click

from grantway_plugins.profiles import ProfileFile

from .app import LOGIN_NEEDED
from .options import aws_login, login_options
from .profile_status import ProfileStatus, aws_status, duration, read_status
from .terminal import Part, Terminal

_STYLES = {"fresh": "green", "refreshable": "green", "on demand": "", "login needed": "yellow"}


@click.command(name="status")
@login_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list and nothing else.")
def command(
    name: str | None,
    config: str | None,
    sso_session: str | None,
    sso_profile: str | None,
    *,
    as_json: bool,
) -> None:
    """Show whether you are logged in to the profile NAME, as whom and for how long.

    Without NAME, all profiles are shown. The command only reads the stores, and shows no secrets.
    For a single profile or session, the exit status is 3 if a login is needed, and 1 if the profile
    or its store has an error.
    """
    aws = aws_login(name, config, sso_session, sso_profile)
    where = ""
    if aws is not None:
        name = aws.label
        with aws.session as session:
            shown = [aws_status(session, name)]
    else:
        file = ProfileFile(config)
        where = str(file.path)
        shown = [read_status(file, each) for each in ([name] if name else file.names)]
    if as_json:
        click.echo(json.dumps([each.as_json() for each in shown], indent=2))
    else:
        terminal = Terminal()
        if not shown:
            terminal.line(f"{where} has no profiles.")
        for each in shown:
            for parts in _lines(each):
                terminal.line(*parts)
    if name and not shown[0].logged_in:
        sys.exit(1 if shown[0].state == "broken" else LOGIN_NEEDED)


def _lines(each: ProfileStatus) -> Iterator[tuple[Part, ...]]:
    yield (each.profile, "bold"), "  ", (each.state, _STYLES.get(each.state, "red"))
    facts = {
        "user": each.subject,
        "client": each.client_id,
        "provider": each.provider,
        "resource": None if each.resource is None else " ".join(each.resource),
        "scope": None if each.scope is None else " ".join(each.scope),
        "expires": None if each.expires_at is None else _when(each.expires_at, "expired"),
        "refresh": None if each.refresh_at is None else _when(each.refresh_at, "at the next use"),
        "refreshable": ("yes" if each.refreshable else "no") if each.state == "fresh" else None,
        "store": each.store,
        "log in": each.remedy,
        "error": each.error,
    }
    for name, value in facts.items():
        if value:
            yield (f"  {name:12}", "dim"), value


def _when(moment: float, passed: str) -> str:
    left = moment - time.time()
    return f"in {duration(left)}" if left >= 1 else passed
