"""``grantway clients``: add, list, rotate and remove clients of the embedded issuer."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from grantway._exceptions import ConfigurationError
from grantway._types.quantity import check_seconds
from grantway_plugins.issuer import _audit_log as audit_log
from grantway_plugins.issuer._decisions.operator_clients import (
    OVERLAP,
    add_client,
    all_clients,
    remove_client,
    rotate_secret,
)
from grantway_plugins.issuer._http.endpoints.registration import client_information
from grantway_plugins.server._log_format import LOG_FORMATS, LogFormat, log_to_stderr

from .issuer_database import IssuerDatabase, operator_database_options
from .terminal import Terminal

secret_file_option = click.option(
    "--secret-file",
    type=click.Path(dir_okay=False),
    default=None,
    help="Write the secret to this file, readable by this user only, instead of printing it.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON value and nothing else."
)


@click.group(name="clients")
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default=None,
    help="Also write each change to standard error, in this format of the issuer's audit log.",
)
def command(log_format: LogFormat | None) -> None:
    """Manage the clients in the database of the embedded issuer.

    The issuer may be running. It accepts a new client or secret at once, and applies every other
    change within five seconds.
    """
    if log_format is not None:
        log_to_stderr(log_format)
        audit_log.logger.setLevel(logging.INFO)


@command.command(name="add")
@click.argument("name")
@click.option("--grant-type", "grant_types", multiple=True, help="Grant type to allow. Repeatable.")
@click.option("--scope", default=None, help="Scopes to allow, separated by spaces.")
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, help="Redirect URI to register. Repeatable."
)
@click.option(
    "--auth",
    default=None,
    help="Authentication method of the client: client_secret_basic (default), client_secret_post, "
    "none, private_key_jwt (with jwks or jwks_uri in --metadata), federated_jwt (a token of an "
    "issuer in the file of grantway serve --trust), or one that a plugin registers.",
)
@click.option(
    "--metadata",
    "metadata_file",
    type=click.File("r", encoding="utf-8"),
    default=None,
    help="JSON file with client metadata (RFC 7591), such as redirect_uris, jwks or the members of "
    "a plugin's method; - reads standard input. Options take precedence.",
)
@click.option(
    "--introspect", is_flag=True, help="Let the client introspect the tokens of all clients."
)
@secret_file_option
@json_option
@operator_database_options
def add(  # noqa: PLR0917 - click passes options by name
    name: str,
    grant_types: tuple[str, ...],
    scope: str | None,
    redirect_uris: tuple[str, ...],
    auth: str | None,
    metadata_file: TextIO | None,
    introspect: bool,
    secret_file: str | None,
    as_json: bool,
    database: IssuerDatabase,
) -> None:
    """Add a client called NAME, and print it. It does not expire."""
    metadata = {} if metadata_file is None else _read_metadata(metadata_file)
    metadata["client_name"] = name
    if auth is not None:
        metadata["token_endpoint_auth_method"] = auth
    metadata.setdefault("token_endpoint_auth_method", "client_secret_basic")
    if grant_types:
        metadata["grant_types"] = list(grant_types)
    elif introspect:
        metadata.setdefault("grant_types", ["client_credentials"])
    if scope is not None:
        metadata["scope"] = scope
    if redirect_uris:
        metadata["redirect_uris"] = list(redirect_uris)
    with _new_secret_file(secret_file) as save, database.opened() as store:
        shown = add_client(store, metadata, introspects=introspect)
        if save(shown.get("client_secret")):
            del shown["client_secret"]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    terminal = Terminal()
    for member, value in shown.items():
        text = value if isinstance(value, str) else json.dumps(value)
        terminal.line(f"{member}: {text}")


def _read_metadata(file: TextIO) -> dict[str, Any]:
    try:
        metadata = json.load(file)
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise ConfigurationError(f"{file.name} is not a JSON object in UTF-8")
    return metadata


@command.command(name="rotate")
@click.argument("client_id")
@click.option(
    "--overlap-seconds",
    type=float,
    default=OVERLAP,
    show_default=True,
    help="How long the current secret remains valid.",
)
@secret_file_option
@json_option
@operator_database_options
def rotate(
    client_id: str,
    overlap_seconds: float,
    secret_file: str | None,
    as_json: bool,
    database: IssuerDatabase,
) -> None:
    """Issue a new secret for the client CLIENT_ID, and print it."""
    check_seconds("overlap_seconds", overlap_seconds, least=0)
    with _new_secret_file(secret_file) as save, database.opened() as store:
        secret = rotate_secret(store, client_id, overlap=overlap_seconds)
        shown = {"client_id": client_id, "client_secret": secret}
        if save(secret):
            del shown["client_secret"]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    elif "client_secret" in shown:
        click.echo(secret)


@command.command(name="remove")
@click.argument("client_id")
@json_option
@operator_database_options
def remove(client_id: str, as_json: bool, database: IssuerDatabase) -> None:
    """Remove the client CLIENT_ID and revoke its tokens."""
    with database.opened() as store:
        remove_client(store, client_id)
    if as_json:
        click.echo(json.dumps({"client_id": client_id}, indent=2))


@command.command(name="list")
@json_option
@operator_database_options
def list_(as_json: bool, database: IssuerDatabase) -> None:
    """Print every client, without secrets."""
    with database.opened() as store:
        found = all_clients(store)
    shown = [
        {
            **client_information(each),
            "anonymous": each.anonymous,
            "introspects": each.introspects,
        }
        for each in found
    ]
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    Terminal().table(
        ("client_id", "name", "auth", "grant_types", "scope", "introspects"),
        [
            (
                each.client_id,
                each.name,
                each.authentication.method,
                " ".join(sorted(each.grant_types)),
                " ".join(each.scope),
                "yes" if each.introspects else "no",
            )
            for each in found
        ],
    )


@contextmanager
def _new_secret_file(path: str | None) -> Iterator[Any]:
    """Open the secret file before the database changes, so that no new secret is lost.

    Yields:
        A function that writes the secret, and returns False if no file was given.
    """
    if path is None:
        yield lambda _secret: False
        return
    beside = Path(f"{path}.new")
    try:
        number = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    except OSError as failed:
        raise ConfigurationError(f"Cannot write {path}: {failed.strerror}") from None

    def save(secret: str | None) -> bool:
        if secret is None:
            return False
        os.write(number, secret.encode())
        os.fsync(number)
        beside.replace(path)  # a gateway that watches the file must not read a partial secret
        return True

    try:
        yield save
    finally:
        os.close(number)
        beside.unlink(missing_ok=True)
