"""Store databases of the current schema version, for the tests of later versions.

Run it once from the repository's root, before the schema changes:
``python -m tests.plugins.issuer.old_databases.make``

It writes ``version-N.sqlite.sql``, ``version-N.postgresql.sql`` and ``version-N.json``. The last
has the secrets, because the others contain only their digests.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from grantway_plugins.issuer import IssuerServer, IssuerSettings
from grantway_plugins.issuer._decisions.operator_clients import add_client, rotate_secret
from grantway_plugins.issuer._storage.tables import SCHEMA_VERSION
from tests.plugins.issuer.conftest import Caller, Clock
from tests.postgres import PROGRAMS, postgres_server

_FOLDER = Path(__file__).parent


def fill(database: str, clock: Clock) -> dict[str, Any]:
    """Create rows in every table of a new database; return the values that they are digests of."""
    settings = IssuerSettings(registration="unrestricted", approve="auto")
    with (
        IssuerServer(settings, database=database, clock=clock) as server,
        Caller(server.url) as rfc,
        Caller(server.url) as aws,
    ):
        rfc.register_rfc(client_name="Zoë's notes")
        first = rfc.login()
        second = rfc.refresh(first["refresh_token"]).json()
        ended = rfc.login()
        rfc.as_rfc("/revoke", token=ended["refresh_token"])
        pending = rfc.start(scope="a")
        code = rfc.sent_back()["code"]
        aws.register_aws()
        service = add_client(
            server.store, {"client_name": "service", "grant_types": ["client_credentials"]}
        )
        rotated = rotate_secret(server.store, service["client_id"], overlap=1e9)
        server.store.run(
            lambda transaction: transaction.records("acme").put(
                "coupon", {"left": 3}, until=clock() + 86_400
            )
        )
        return {
            "now": clock(),
            "form_key": server.store.form_key.hex(),
            "client": {"id": rfc.id, "secret": rfc.secret, "method": rfc.method},
            "aws": {"id": aws.id, "secret": aws.secret},
            "service": {
                "id": service["client_id"],
                "old_secret": service["client_secret"],
                "secret": rotated,
            },
            "replaced": first["refresh_token"],
            "refresh_token": second["refresh_token"],
            "access_token": second["access_token"],
            "revoked": ended["refresh_token"],
            "device_code": pending["device_code"],
            "code": code,
        }


def main() -> None:
    """Write the three files."""
    stem = f"version-{SCHEMA_VERSION}"
    values = {}
    with TemporaryDirectory() as folder:
        path = Path(folder, "issuer.sqlite3")
        values["sqlite"] = fill(str(path), Clock())
        with closing(sqlite3.connect(path)) as connection:
            # SQLite prints infinity in a form that it cannot read.
            lines = [line.replace(",Inf,", ",1e999,") for line in connection.iterdump()]
    (_FOLDER / f"{stem}.sqlite.sql").write_text("\n".join(lines) + "\n", "utf-8")
    with postgres_server() as server:
        values["postgresql"] = fill(server.url, Clock())
        # Inserts, because the tests send the file through the driver.
        dump = subprocess.run(
            [
                *(PROGRAMS / "pg_dump", "--inserts", "--no-owner", "--no-comments"),
                *("-h", server.folder, "-U", "postgres"),
            ],
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout
    kept = [line for line in dump.splitlines() if line and not line.startswith(("--", "\\"))]
    (_FOLDER / f"{stem}.postgresql.sql").write_text("\n".join(kept) + "\n", "utf-8")
    (_FOLDER / f"{stem}.json").write_text(json.dumps(values, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
