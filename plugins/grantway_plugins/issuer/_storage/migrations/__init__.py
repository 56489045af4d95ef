"""Migrations of the database, one for each schema version.

Each function receives Alembic's ``Operations`` and changes a database of the version before. A
migration that has been released is never changed. It must not import ``tables``, which describes
the newest version only.

An issuer of the version before keeps running during the migration and after it. A migration
therefore adds tables, indexes, and columns that are nullable or have a server default; it removes
only what no version in use reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from . import version_6

if TYPE_CHECKING:
    from alembic.operations import Operations

#: Schema version -> the migration from the version before.
MIGRATIONS: Mapping[int, Callable[[Operations], None]] = MappingProxyType({6: version_6.upgrade})
