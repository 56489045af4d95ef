"""Duration of ``grantway token`` with a stored fresh token, compared with a bare start of Python.

Run: ``python tests/benchmarks/token_command.py [--rounds N]``

Each round starts every program once, so that other load on the machine affects all alike. The
results are the median durations of whole processes in milliseconds, and their ratio to ``python -c
pass`` with the same interpreter. The ratio of ``grantway token`` must be at most 2. For comparison,
the table shows its slow path, which stores other than ``file`` need, and the imports of botocore
and msal alone, before they read their caches.
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
from grantway_plugins.cli.token import cache_location

LIMIT = 2.0
PROFILE = '[profiles.work]\nprovider = "https://login.example.com"\nclient_id = "app"\n'


def prepare(home: Path) -> dict[str, str]:
    """Create a profile with a fresh token in its store, and return the environment for it."""
    config = home / "grantway" / "config.toml"
    config.parent.mkdir()
    config.write_text(PROFILE, encoding="utf-8")
    os.environ.update(XDG_CONFIG_HOME=str(home), XDG_STATE_HOME=str(home), HOME=str(home))
    with profiles.load("work") as profile:
        token = grantway.Token("at-1", expires_in=3600, expires_at=time.time() + 3600)
        profile.store.save(profile.key, token)
        cache_location(profile, token)
    return dict(os.environ)


def programs(home: Path) -> dict[str, list[str]]:
    """Return the commands by name."""
    script = Path(sys.executable).with_name("grantway")
    same = shutil.copy(home / "grantway" / "config.toml", home / "slow.toml")
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "grantway token": [str(script), "token", "work"],
        "grantway token --json": [str(script), "token", "work", "--json"],
        "grantway token --format header": [str(script), "token", "work", "--format", "header"],
        # The fast path does not handle this option.
        "grantway token, slow path": [str(script), "token", "work", f"--config={same}"],
        "import botocore.session": [sys.executable, "-c", "import botocore.session"],
        "import msal": [sys.executable, "-c", "import msal"],
    }


def main() -> int:
    """Run the benchmark, print the results, and return 1 if the limit is exceeded."""
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
        print(f"{name:30} {median:8.1f} ms  {median / bare:6.2f} x")
    return 0 if medians["grantway token"] <= LIMIT * bare else 1


if __name__ == "__main__":
    sys.exit(main())
