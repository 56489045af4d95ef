"""What ``grantway token`` costs where a fresh token is stored, against a bare start of Python.

Run: ``python tests/benchmarks/token_command.py [--rounds N]``

Each round starts every program once, in turn, so that what else the machine does meets all alike.
Printed are the medians of whole processes in milliseconds, and their ratio to ``python -c pass``
of the same interpreter. ``grantway token`` must be at most 2. Its whole way, which a token in
another store than a file takes, stands beside it, and what other tools take for the least that
they can do: botocore's and msal's imports alone, before either has read its cache.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grantway
from grantway_plugins import profiles
from grantway_plugins.cli.token import leave_note

LIMIT = 2.0
PROFILE = '[profiles.work]\nprovider = "https://login.example.com"\nclient_id = "app"\n'


def prepare(home: Path) -> dict[str, str]:
    """A profile with a fresh token in its store; gives the environment that leads there."""
    config = home / "grantway" / "config.toml"
    config.parent.mkdir()
    config.write_text(PROFILE, encoding="utf-8")
    os.environ.update(XDG_CONFIG_HOME=str(home), XDG_STATE_HOME=str(home), HOME=str(home))
    with profiles.load("work") as profile:
        token = grantway.Token("at-1", expires_in=3600, expires_at=time.time() + 3600)
        profile.store.save(profile.key, token)
        leave_note(profile, token)
    return dict(os.environ)


def programs(home: Path) -> dict[str, list[str]]:
    """Name -> command."""
    script = Path(sys.executable).with_name("grantway")
    same = shutil.copy(home / "grantway" / "config.toml", home / "slow.toml")
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "grantway token": [str(script), "token", "work"],
        "grantway token --json": [str(script), "token", "work", "--json"],
        # An option that the fast way leaves to the parser.
        "grantway token, whole way": [str(script), "token", "work", f"--config={same}"],
        "import botocore.session": [sys.executable, "-c", "import botocore.session"],
        "import msal": [sys.executable, "-c", "import msal"],
    }


def main() -> int:
    """Measure, print, and tell by the status whether the limit was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        env = prepare(Path(folder))
        commands = programs(Path(folder))
        took: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
                took[name].append((time.perf_counter() - began) * 1000)
    medians = {name: statistics.median(each) for name, each in took.items()}
    bare = medians["python -c pass"]
    print(f"{rounds} rounds, medians of whole processes")
    for name, median in medians.items():
        print(f"{name:28} {median:8.1f} ms  {median / bare:6.2f} x")
    return 0 if medians["grantway token"] <= LIMIT * bare else 1


if __name__ == "__main__":
    sys.exit(main())
