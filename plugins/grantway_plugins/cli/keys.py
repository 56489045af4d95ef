"""``grantway keys``: list, rotate and remove the signing keys of the embedded issuer."""

from __future__ import annotations

import json
import time

import click

from grantway._exceptions import ConfigurationError
from grantway_plugins.issuer._storage.signing_key_rows import SigningKeyRow

from .issuer_database import IssuerDatabase, operator_database_options
from .terminal import Terminal


@click.group(name="keys")
def command() -> None:
    """Manage the signing keys in the database of the embedded issuer.

    The issuer may be running. It applies a change within five seconds, when it next uses its keys.
    """


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@operator_database_options
def list_(as_json: bool, database: IssuerDatabase) -> None:
    """Print every published key, without private keys."""
    now = time.time()
    with database.opened() as store:
        found = store.run(lambda transaction: transaction.signing_keys.live(now))
    signing: dict[str, str] = {}
    for each in found:  # the newest first
        if each.signs_from <= now:
            signing.setdefault(each.algorithm, each.kid)
    shown = [
        {
            "kid": each.kid,
            "alg": each.algorithm,
            "state": _state(each, now, signs=signing.get(each.algorithm) == each.kid),
            "created_at": int(each.created_at),
            "expires_at": None if each.expires_at is None else int(each.expires_at),
        }
        for each in found
    ]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    rows = [
        [_time(value) if name.endswith("_at") else str(value) for name, value in each.items()]
        for each in shown
    ]
    Terminal().table(("kid", "alg", "state", "created_at", "expires_at"), rows)


def _state(key: SigningKeyRow, now: float, *, signs: bool) -> str:
    if signs:
        return "signing"
    return "next" if key.signs_from > now else "retired"


def _time(seconds: object) -> str:
    if not isinstance(seconds, int):
        return "-"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@command.command(name="rotate")
@operator_database_options
def rotate(database: IssuerDatabase) -> None:
    """Make the issuer replace its keys. Each new key is published before it signs."""
    with database.opened() as store:
        count = store.run(lambda transaction: transaction.signing_keys.rotate(time.time()))
    if not count:
        raise ConfigurationError(
            "There is no key to replace: the issuer has created none yet, or each one has a "
            "replacement already; nothing was changed"
        )
    click.echo(f"The issuer replaces {count} key{'s' * (count != 1)} when it next uses them")


# A key ID may begin with a hyphen.
@command.command(name="remove", context_settings={"ignore_unknown_options": True})
@click.argument("kid")
@operator_database_options
def remove(kid: str, database: IssuerDatabase) -> None:
    """Remove the key KID, for example because it is damaged or was stolen.

    The tokens that it signed become invalid: for this issuer within five seconds, and for resource
    servers when they next read the published keys. A new key replaces it at once.
    """
    with database.opened() as store:
        if not store.run(lambda transaction: transaction.signing_keys.remove(kid)):
            raise ConfigurationError(f"There is no key {kid}; run: grantway keys list")
