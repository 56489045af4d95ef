"""``grantway keys``: list, rotate and remove the signing keys of the embedded issuer."""

from __future__ import annotations

import json
import time

import click

from grantway._exceptions import ConfigurationError

from .issuer_database import IssuerDatabase, operator_database_options


@click.group(name="keys")
def command() -> None:
    """Manage the signing keys in the database of the embedded issuer.

    The issuer may be running. It applies a change within five seconds, when it next uses its keys.
    """


@command.command(name="list")
@operator_database_options
def list_(database: IssuerDatabase) -> None:
    """Print every key as JSON, without private keys."""
    with database.opened() as store:
        found = store.run(lambda transaction: transaction.signing_keys.live(time.time()))
    shown = [
        {
            "kid": each.kid,
            "alg": each.algorithm,
            "created_at": int(each.created_at),
            "signs_from": int(each.signs_from),
            "expires_at": None if each.expires_at is None else int(each.expires_at),
        }
        for each in found
    ]
    click.echo(json.dumps(shown, indent=2))


@command.command(name="rotate")
@operator_database_options
def rotate(database: IssuerDatabase) -> None:
    """Make the issuer replace its keys. Each new key is published before it signs."""
    with database.opened() as store:
        count = store.run(lambda transaction: transaction.signing_keys.rotate(time.time()))
    if not count:
        raise ConfigurationError("No key is signing that has no replacement; nothing was changed")
    click.echo(f"The issuer replaces {count} keys when it next uses them")


@command.command(name="remove")
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
