"""Tests that the page "What ships with grantway" is complete."""

from __future__ import annotations

import re
from collections.abc import Collection

import pytest

import grantway
from grantway._plugins.kinds import KINDS
from grantway._requests.client_auth import STANDARD_METHODS
from grantway_plugins.cli.token_formats import FORMATS
from tests.docs.pages import DOCS

REGISTRY = grantway.build_registry(only=["grantway"], strict=True)
PAGE = (DOCS / "reference" / "included.md").read_text(encoding="utf-8")
#: Logins that the command line has without a registered flow.
OWN_LOGINS = ("authorization_code", "urn:ietf:params:oauth:grant-type:device_code")
#: Section -> the names that it lists.
LISTED: dict[str, Collection[str]] = {
    "Grants": REGISTRY.grants,
    "Client authentication": [*STANDARD_METHODS, *REGISTRY.client_auth],
    "Dialects": REGISTRY.dialects,
    "Stores": REGISTRY.stores,
    "Secret sources": REGISTRY.secret_sources,
    "Login flows": [*OWN_LOGINS, *REGISTRY.login_flows],
    "Token formats": FORMATS,
}
#: Kinds whose names the page does not list, and those that grantway itself does not use.
UNLISTED = {"error code", "issuer grant"}
UNUSED = {"issuer extension", "issuer client authentication", "issuer login", "tenant rule"}


def rows(section: str) -> list[list[str]]:
    """Return the cells of a section's table, without its heading."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    table = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


@pytest.mark.parametrize("section", LISTED)
def test_lists_every_registered_name(section: str) -> None:
    names = [name for row in rows(section) for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(names) == sorted(LISTED[section])


def test_says_which_grants_the_issuer_accepts() -> None:
    accepted = {row[0].strip("`") for row in rows("Grants") if row[2] == "yes"}
    assert accepted == set(REGISTRY.issuer_grants)


def test_every_kind_of_plugin_is_listed_or_unused() -> None:
    sections = {section.lower().rstrip("s") for section in LISTED}
    for kind in KINDS:
        if kind.label in UNUSED:
            assert not REGISTRY.tables[kind]
        else:
            assert kind.label in {*sections, *UNLISTED}
    assert (REGISTRY.middleware, REGISTRY.observers) == ((), ())


def test_third_party_packages_are_sorted_and_linked() -> None:
    names = [row[0] for row in rows("Third-party packages")]
    assert names == sorted(names, key=str.lower)
    assert all(re.fullmatch(r"\[[\w.-]+\]\(https://pypi\.org/project/\S+\)", n) for n in names)
