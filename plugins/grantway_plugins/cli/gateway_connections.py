"""``grantway gateway connections``: list, audit and remove connections, and change their key."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from grantway._exceptions import ConfigurationError
from grantway_plugins.gateway._config import ConfigFile
from grantway_plugins.gateway._connections.connection import Connection
from grantway_plugins.gateway._connections.details import Details
from grantway_plugins.gateway._connections.records import pages
from grantway_plugins.gateway._connections.reencryption import Reencryption, reencrypt
from grantway_plugins.gateway._connections.removal import connections_to, remove_all
from grantway_plugins.gateway._connections.service import Connections
from grantway_plugins.gateway._running.building import build_runtime

from .gateway_file import gateway_file
from .terminal import Terminal

Result = TypeVar("Result")

_MOST_EVENTS = 100_000
_config = gateway_file()
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="connections")
def command() -> None:
    """Manage the connections of users in the database of a gateway.

    The gateways may be running.
    """


@command.command(name="list")
@_config
@_json
@click.option("--subject", help="Only the connections of this user, by the subject at its issuer.")
@click.option("--provider", help="Only the connections to this provider.")
@click.option("--state", type=click.Choice(["connected", "broken"]), help="Only this state.")
def list_(
    config: str, as_json: bool, subject: str | None, provider: str | None, state: str | None
) -> None:
    """Print all connections, without their tokens. Times are in UTC."""

    async def found(connections: Connections) -> list[dict[str, Any]]:
        listed = [each async for page in pages(connections.records) for each in page]
        shown = [_shown(each, connections) for each in listed]
        wanted = {"subject": subject, "provider": provider, "state": state}
        rules = {name: value for name, value in wanted.items() if value is not None}
        return [each for each in shown if all(each[name] == rules[name] for name in rules)]

    rows = _run(config, found)
    _print(rows, _COLUMNS, as_json=as_json)
    if any(row["subject"] is None for row in rows):
        click.echo(
            "Some records name no user: they were lost, or encrypted with a key that is not in "
            "key in [connections]. If you removed a key, add it after the newest.",
            err=True,
        )
    absent = Counter(row["provider"] for row in rows if not row["in_file"])
    for name, count in sorted(absent.items()):
        click.echo(
            f"{count} connections are to {name}, which has no table [connections.providers.{name}] "
            f"any more. Delete them with: grantway gateway connections disconnect-all {name}",
            err=True,
        )


_COLUMNS = ("user", "issuer", "subject", "provider", "state", "connected_at", "used_at", "due_at")


def _shown(each: Connection, connections: Connections) -> dict[str, Any]:
    details = Details.opened(each.details, connections.sealed, each.user, each.provider)
    return {
        "user": each.user,
        "issuer": details.user.issuer if details.user else None,
        "subject": details.user.subject if details.user else None,
        "provider": each.provider,
        "in_file": each.provider in connections.providers,
        "account": details.account or None,
        "state": each.state,
        "connected_at": _time(each.connected_at),
        "refreshed_at": _time(each.refreshed_at),
        "used_at": _time(each.used_at),
        "due_at": _time(each.due_at),
    }


# An id may begin with a hyphen.
@command.command(name="audit", context_settings={"ignore_unknown_options": True})
@click.argument("user")
@_config
@_json
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, _MOST_EVENTS))
def audit(user: str, config: str, as_json: bool, limit: int) -> None:
    """Print the last events of USER, newest first. USER is the id that the list shows."""

    async def found(connections: Connections) -> list[dict[str, Any]]:
        return [
            {
                "at": _time(each.at),
                "event": each.name,
                "provider": each.provider,
                "reason": each.reason or None,
                "count": each.count,
            }
            for each in await connections.records.history(user, limit)
        ]

    rows = _run(config, found)
    _print(rows, ("at", "event", "provider", "reason", "count"), as_json=as_json)
    if not rows:
        click.echo(
            f"No events of {user} are kept; find the ids of users with: "
            "grantway gateway connections list",
            err=True,
        )


@command.command(name="disconnect", context_settings={"ignore_unknown_options": True})
@click.argument("user")
@click.argument("provider")
@_config
def disconnect(user: str, provider: str, config: str) -> None:
    """Revoke and delete the connection of USER to PROVIDER.

    Gateways that hold its token use it for at most `recheck` seconds more.
    """

    async def remove(connections: Connections) -> str:
        result = await connections.remove(user, provider, by="operator")
        if not result.existed:
            raise ConfigurationError(
                f"{user} has no connection to {provider}; run: grantway gateway connections list"
            )
        if result.revoked:
            return "Disconnected, and revoked at the provider"
        reason = result.problem or "no valid token was stored"
        return f"Disconnected, but not revoked at the provider: {reason}"

    click.echo(_run(config, remove))


@command.command(name="disconnect-all")
@click.argument("provider")
@_config
@click.option("--yes", is_flag=True, help="Do not ask for a confirmation.")
def disconnect_all(provider: str, config: str, yes: bool) -> None:
    """Revoke and delete the connections of all users to PROVIDER.

    Run it before you remove PROVIDER from the file. After that, it deletes the tokens, but the
    gateway cannot revoke them at the provider any more.
    """

    async def find(connections: Connections) -> list[Connection]:
        return await connections_to(connections, provider)

    found = _run(config, find)
    if not found:
        raise ConfigurationError(
            f"No user has a connection to {provider}. To see all connections, run: "
            "grantway gateway connections list"
        )
    if not yes:
        click.confirm(f"Disconnect {len(found)} users from {provider}?", abort=True, err=True)
    result = _run(config, lambda connections: remove_all(connections, found))
    click.echo(f"Disconnected: {result.removed}, of which revoked: {result.revoked}")
    for problem in sorted(result.problems):
        click.echo(problem, err=True)
    if result.failed:
        raise ConfigurationError(
            f"{result.failed} connections were not removed; correct the problems, and repeat this"
        )


@command.command(name="reencrypt")
@_config
def reencrypt_(config: str) -> None:
    """Encrypt all tokens and records with the first key, so that older keys can be removed.

    Before, give the new list of keys to every gateway. Interrupting and repeating the command is
    harmless.
    """
    result = _run(config, reencrypt)
    click.echo(
        f"Encrypted again: {result.tokens} tokens and {result.records} records of "
        f"{result.connections} connections"
    )
    if not result.finished:
        raise ConfigurationError(_unfinished(result))
    click.echo("No token or record of a connection needs an older key any more.")


def _unfinished(result: Reencryption) -> str:
    reasons = [*result.problems]
    if result.absent:
        names = ", ".join(f"{name} ({count})" for name, count in sorted(result.absent.items()))
        reasons.append(
            f"the tokens of providers without a table [connections.providers.NAME]: {names}"
        )
    if not reasons:
        reasons = ["a gateway still saves with an older key; give it the new list of keys first"]
    return (
        "Keep the older keys: some tokens or records still need them. Nothing was removed. "
        + "; ".join(reasons)
    )


def _run(path: str, work: Callable[[Connections], Coroutine[Any, Any, Result]]) -> Result:
    """Do work with the connections of a file.

    Raises:
        ConfigurationError: The file has mistakes, or no connections that this process can read.
    """
    config = ConfigFile(path)
    if config.connections is None:
        raise ConfigurationError(f"{config.path}: has no table [connections]")
    if config.gateway["store"]["kind"] == "memory":
        raise ConfigurationError(
            f"{config.path}: its store keeps the connections in the memory of the gateway, which "
            "no other process can read; set store in [gateway] to sql or redis"
        )
    config.gateway["start"] = "degraded"  # a provider that is down must not prevent this
    runtime = build_runtime(config)

    async def main() -> Result:
        try:
            assert runtime.connections is not None
            return await work(runtime.connections)
        finally:
            await runtime.components.close_async()

    return asyncio.run(main())


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    cells = [["-" if row[name] is None else str(row[name]) for name in columns] for row in rows]
    Terminal().table(columns, cells)


def _time(seconds: float | None) -> str | None:
    if seconds is None or math.isinf(seconds):
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
