"""Programs that share the AWS CLI's cache, each in a separate process.

Run ``python -m tests.interop.aws_cache_reader botocore`` (or ``grantway``). For each line of input,
the process reads the cache like a newly started program, and prints
``{"ok": true, "token": "..."}`` or ``{"ok": false, "error": "..."}``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import forked
from tests.interop import node_packages
from tests.interop.program import STARTUP_SECONDS, Program

PROFILE = "dev"


def by_botocore() -> Callable[[], str]:
    """Return a function that gets the token with botocore: profile, session, cache, refresh."""
    import botocore.session  # noqa: PLC0415 - the other reader must not need it

    return lambda: str(botocore.session.Session().get_auth_token().get_frozen_token().token)


def by_grantway() -> Callable[[], str]:
    """Return a function that gets the token with grantway."""
    from grantway_plugins import aws  # noqa: PLC0415

    def ask() -> str:
        with aws.sso_session() as session:
            return session.credential().token().access_token

    return ask


@contextmanager
def reader(kind: str, home: Path, issuer: str) -> Iterator[Program]:
    """Run a reader process for the block.

    Args:
        kind: ``botocore``, ``grantway`` or ``javascript``.
        home: Home folder, which contains ``.aws/config``.
        issuer: Address of the service.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "AWS_PROFILE": PROFILE,
        "AWS_ENDPOINT_URL_SSO_OIDC": issuer,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
    command: list[str | Path] = [sys.executable, "-m", __name__, kind]
    if kind == "javascript":
        node_packages.install()
        command = [node_packages.NODE, node_packages.FOLDER / "aws_token.mjs"]
    with Program(command, env=env, start=forked.Popen) as program:
        program.read_json(STARTUP_SECONDS)
        yield program


if __name__ == "__main__":
    ask = {"botocore": by_botocore, "grantway": by_grantway}[sys.argv[1]]()
    print(json.dumps({"ready": True}), flush=True)
    for _line in sys.stdin:
        try:
            response = {"ok": True, "token": ask()}
        except Exception as error:  # noqa: BLE001 - the parent reports any error
            response = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(response), flush=True)
