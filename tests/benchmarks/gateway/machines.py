"""The processes of a benchmark: gateways, their backend, and load generators."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.gateway.cores import pin
from tests.interop.program import Program

_HERE = Path(__file__).parent
#: Seconds that a command may take on a busy machine.
_PATIENCE = 60.0
GATEWAY_CORE, OTHER_CORE = 0, 1
_TELLS = re.compile(r"listening on http://127\.0\.0\.1:(\d+), admin http://127\.0\.0\.1:(\d+)")


class Backend:
    """The process ``backend.py``."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.facts: dict[str, str] = program.read_json(_PATIENCE)

    def do(self, do: str, **order: Any) -> Any:
        """Send a command and return its result."""
        self._program.write_json({"do": do, **order})
        return self._program.read_json(_PATIENCE)


class GatewayProcess:
    """A ``grantway gateway`` process.

    Attributes:
        port: TCP port of the proxy.
        admin: TCP port of the health page.
        pid: Process ID.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        line = program.read_line(_PATIENCE)
        found = _TELLS.search(line)
        assert found is not None, line
        self.port, self.admin = int(found[1]), int(found[2])
        self.pid = program.pid

    def kill(self) -> None:
        """Kill the gateway with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)

    def errors(self) -> str:
        """Return the gateway's standard error output."""
        return self._program.errors()

    def ready(self) -> dict[str, Any]:
        """Return the provider's status on the health page."""
        address = f"http://127.0.0.1:{self.admin}/readyz"
        try:
            with urllib.request.urlopen(address, timeout=_PATIENCE) as response:
                body = response.read()
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
        health: dict[str, Any] = json.loads(body)
        return health

    def metrics(self) -> dict[str, float]:
        """Return the gateway's metrics by name and labels."""
        address = f"http://127.0.0.1:{self.admin}/metrics"
        with urllib.request.urlopen(address, timeout=_PATIENCE) as response:
            lines = response.read().decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")
        }


def _command(*words: str | Path, core: int, python: str = sys.executable) -> list[str | Path]:
    """Return a command that runs Python on one core; child processes inherit the core."""
    return [python, _HERE / "on_core.py", str(core), *words]


@contextmanager
def backend(
    folder: Path, *, lifetime: float, reuse_window: float = 0.0, core: int = OTHER_CORE
) -> Iterator[Backend]:
    """Run an issuer and an echo in another process."""
    with Program([sys.executable, _HERE / "backend.py"]) as program:
        program.write_json(
            {
                "folder": str(folder),
                "lifetime": lifetime,
                "reuse_window": reuse_window,
                "core": core,
            }
        )
        yield Backend(program)


def write_config(
    folder: Path,
    behind: Backend,
    *,
    name: str = "gateway",
    store: str | None = None,
    provider: str = "",
    route: str = "",
) -> Path:
    """Write a gateway configuration with one route, tenants by header, and a secret file.

    Args:
        folder: Folder of the files.
        behind: The gateway's backend.
        name: Name of the configuration file.
        store: URL of Valkey, or None for a store in memory.
        provider: Additional lines of the provider's table.
        route: Additional lines of the route's table.
    """
    secret = folder / "secret.txt"
    if not secret.exists():
        replace_secret(folder, behind.facts["client_secret"])
    kept = f'{{ kind = "redis", url = "{store}" }}' if store else '"memory"'
    path = folder / f"{name}.toml"
    path.write_text(
        f"""
[gateway]
hosts = ["gateway.test"]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
store = {kept}

[providers.issuer]
issuer = "{behind.facts["issuer"]}"
client_id = "{behind.facts["client_id"]}"
client_secret = {{source = "file", path = "secret.txt"}}
{provider}

[routes.echo]
upstream = "{behind.facts["echo"]}"
provider = "issuer"
tenant = "header:X-Tenant"
on_failure = "closed"
params = {{ resource = "https://{{tenant}}.tenants.test/" }}
{route}
"""
    )
    return path


def replace_secret(folder: Path, secret: str) -> None:
    """Replace the file of the client's secret atomically."""
    new = folder / "secret.new"
    new.touch(mode=0o600)
    new.write_text(secret)
    new.replace(folder / "secret.txt")


@contextmanager
def gateway(
    config: Path, *, core: int = GATEWAY_CORE, python: str = sys.executable
) -> Iterator[GatewayProcess]:
    """Run a gateway for the block."""
    command = _command(
        "-m", "grantway_plugins.cli", "gateway", "--config", config, core=core, python=python
    )
    with Program(command, cwd=config.parent) as program:
        yield GatewayProcess(program)


@contextmanager
def callers(*, core: int = OTHER_CORE, **spec: Any) -> Iterator[Program]:
    """Run ``load.py`` for the block; ``finished`` returns its results."""
    with Program([sys.executable, _HERE / "load.py"]) as program:
        program.write_json({**spec, "core": core})
        program.read_json(_PATIENCE)  # it has started
        yield program


def finished(program: Program, seconds: float) -> dict[str, Any]:
    """Wait for a load generator to finish, and return its results."""
    found: dict[str, Any] = program.read_json(seconds + _PATIENCE)
    return found


def here() -> None:
    """Pin this process to a core that the gateway does not use."""
    pin(OTHER_CORE)
