"""A client process imports no server module, and no library that a token does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from grantway.testing import FaultServer, faults
from tests.unmeasured import environment

CLIENT = """
import sys
before = set(sys.modules)  # some environments import a few modules at the start
import grantway
client = grantway.Client(
    grantway.Provider(token_endpoint={url!r}), client_id="client", client_secret="s" * 32
)
{call}
print(*sys.modules.keys() - before)
"""
CALLS = {
    "client": "",
    "token": 'client.create_token(grant_type="refresh_token", refresh_token="r" * 43)',
    "credential": 'client.credential(grant_type="client_credentials").token()',
}
#: Packages of grantway_plugins that register something for clients. The rest of the package, such
#: as the gateway and the command line, has no place in a client.
PACKAGES = {"aws", "client_auth", "dialects", "grants", "issuer", "secrets", "stores"}
#: The names of the issuer's grants; their decisions are imported by an issuer.
ISSUER = {"grantway_plugins.issuer", "grantway_plugins.issuer._plugin"}
GRANTWAY = {"grantway", "grantway_grants", "grantway_plugins"}
LIBRARIES = {"cachetools", "httptools", "marshmallow", "pluggy"}
#: Modules of Python that take long to import.
SLOW = {
    "asyncio",
    "difflib",
    "http.client",
    "http.server",
    "importlib.metadata",
    "logging",
    "traceback",
}
#: Modules of the grants that the calls use. The other grants are not imported.
GRANTS = {"grantway_grants.refresh_token", "grantway_plugins.grants.client_credentials"}


@pytest.fixture(scope="module", params=CALLS)
def imported(request: pytest.FixtureRequest) -> set[str]:
    """Modules of a process with a client, a token, or a credential."""
    with FaultServer(faults.respond()) as server:
        code = CLIENT.format(url=server.token_endpoint, call=CALLS[request.param])
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    return set(done.stdout.split())


def test_imports_no_issuer_or_gateway(imported: set[str]) -> None:
    plugins = {name for name in imported if name.startswith("grantway_plugins.")}
    assert {name.split(".")[1] for name in plugins if "._" not in name} <= PACKAGES
    assert {name for name in plugins if name.startswith("grantway_plugins.issuer")} <= ISSUER


def test_imports_no_other_grant_and_no_dialect(imported: set[str]) -> None:
    packages = ("grantway_grants", "grantway_plugins.grants", "grantway_plugins.dialects")
    public = {name for name in imported if name.startswith(packages) and "._" not in name}
    assert public - set(packages) <= GRANTS


def test_imports_only_the_libraries_of_a_client(imported: set[str]) -> None:
    known = {*GRANTWAY, *LIBRARIES, *sys.stdlib_module_names}
    third_party = {name.partition(".")[0] for name in imported} - known
    assert {name for name in third_party if "cython" not in name.lower()} == set()


def test_imports_no_slow_module_of_python(imported: set[str]) -> None:
    # Refreshes that callers share are futures, whose module imports logging.
    shared = {"logging", "traceback"} if "concurrent.futures" in imported else set()
    assert imported & SLOW == shared
