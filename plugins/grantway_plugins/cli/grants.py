"""``grantway grants``: list the registered grants and their fields."""

from __future__ import annotations

import json
from typing import Any

import click

from grantway._plugins.default_registry import default_registry
from grantway._plugins.registry import Registry
from grantway._types.grant import Grant

from .plugins import identity
from .terminal import Terminal


@click.command(name="grants")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(*, as_json: bool) -> None:
    """List the registered grants with fields, replay class and owner.

    A field with * is required. Conflicts between plugins are listed below the table.
    """
    registry = default_registry()
    grants = [as_dict(registry, grant) for _, grant in sorted(registry.grants.usable().items())]
    contested = contested_names(registry)
    if as_json:
        click.echo(json.dumps({"grants": grants, "conflicts": contested}, indent=2))
        return
    terminal = Terminal()
    terminal.table(
        ("grant_type", "owner", "replay", "issuer", "fields"),
        [
            (
                each["grant_type"],
                each["owner"],
                each["replay"],
                "yes" if each["issuer_grant"] else "no",
                " ".join(f"{field['name']}{'*' * field['required']}" for field in each["fields"]),
            )
            for each in grants
        ],
    )
    for reason in contested.values():
        terminal.line((f"\n{reason}", "red"))


def as_dict(registry: Registry, grant: Grant) -> dict[str, Any]:
    """Return a grant as ``--json`` prints it."""
    names = grant.names
    fields = [
        {
            "name": names.wire[name],
            "required": field.required,
            "secret": name in names.all_of(grant.secret),
            "repeatable": name in names.all_of(grant.repeatable),
            "single_use": name in names.all_of(grant.single_use),
        }
        for name, field in grant.schema.fields.items()
    ]
    return {
        "grant_type": grant.grant_type,
        **identity(registry.owner(grant.grant_type)),
        "replay": grant.replay.value,
        "issuer_grant": grant.grant_type in registry.issuer_grants,
        "fields": fields,
        "summary": grant.summary,
    }


def contested_names(registry: Registry) -> dict[str, str]:
    """Return the reason for each name that was rejected because several plugins register it."""
    return {name: reason for (_, name), reason in registry.origins.owned.conflicts.items()}
