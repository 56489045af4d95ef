"""A new process that ends with a client and its first token: processor time and memory.

Processor time depends less on other programs than duration does. A bare interpreter's share is
subtracted from both. Compiled modules are kept in a temporary folder, and settings of this machine
that cost time, such as a certificate file for every request, are removed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tests.benchmarks.measuring import OURS, Row, interleaved
from tests.benchmarks.peers import ACCESS_TOKEN, http_clients, oauth_clients

FIRST, MEMORY, HELP = "first token", "memory", "grantway --help"
BARE, IMPORT, PASS = "a bare interpreter", "import requests", "python -c pass"
CREDENTIAL = "a credential"
ROOT = Path(__file__).parents[2]
#: Settings of a machine that would add work, and that no program needs on loopback.
_UNSET = frozenset(
    {
        "AUTHLIB_INSECURE_TRANSPORT",
        "AWS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "PYTHONDONTWRITEBYTECODE",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
    }
)
_START = "from tests.benchmarks.peers import http_clients, oauth_clients\n"
_BLOCKING = "assert {call}() == {token!r}\n"
# aiohttp reports a session that is not closed.
_AWAITED = """
import asyncio
async def main():
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    assert await {call}() == {token!r}
asyncio.run(main())
"""
#: Prints the resident memory in KiB; its maximum where there is no /proc.
_REPORT = """
import sys
if sys.platform == "linux":
    with open("/proc/self/status") as status:
        print(dict(line.split(":", 1) for line in status)["VmRSS"].split()[0])
else:
    import resource
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(most // (1024 if sys.platform == "darwin" else 1))
"""


def _programs(base: str) -> dict[str, str]:
    """Return the code of each program, for a token server at this address."""
    code = {BARE: "", IMPORT: "import requests\n"}
    made = [(_BLOCKING, module.SYNC) for module in (oauth_clients, http_clients)]
    for template, peers in (*made, (_AWAITED, http_clients.ASYNC)):
        for peer, make in peers.items():
            call = f"{make.__module__.rpartition('.')[2]}.{make.__name__}({base!r})"
            code.setdefault(peer, template.format(call=call, token=ACCESS_TOKEN))
    code[CREDENTIAL] = code[OURS].replace(".grantway(", ".grantway_credential(")
    return {peer: _START + each + _REPORT for peer, each in code.items()}


def _environment(cache: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _UNSET and not name.lower().endswith("_proxy")
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": cache}


def _spawn(command: list[str], environment: Mapping[str, str]) -> tuple[float, str]:
    """Run a command, and return its processor time in milliseconds and what it printed."""
    reading, writing = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1)]
    process = os.posix_spawn(command[0], command, environment, file_actions=actions)
    os.close(writing)
    with os.fdopen(reading) as output:
        printed = output.read()
    _, status, used = os.wait4(process, 0)
    assert status == 0, f"{command} failed"
    return (used.ru_utime + used.ru_stime) * 1000, printed


def measure(base: str, *, short: bool) -> list[Row]:
    """Return the rows of the first token, of memory, and of ``grantway --help``.

    Args:
        base: Address of the token server.
        short: Whether to measure only grantway.
    """
    commands = {peer: [sys.executable, "-c", code] for peer, code in _programs(base).items()}
    if short:
        commands = {peer: commands[peer] for peer in (BARE, IMPORT, OURS, CREDENTIAL, "requests")}
    commands[PASS] = [sys.executable, "-c", "pass"]
    commands[HELP] = [str(Path(sys.executable).with_name("grantway")), "--help"]
    sizes: dict[str, list[float]] = {peer: [] for peer in commands}

    with tempfile.TemporaryDirectory() as cache:
        environment = _environment(cache)

        def run(peer: str) -> float:
            taken, printed = _spawn(commands[peer], environment)
            sizes[peer].append(int(printed) / 1024 if peer not in {PASS, HELP} else 0)
            return taken

        # The first round compiles the modules.
        taken = interleaved(11 if short else 15, {peer: partial(run, peer) for peer in commands})
    rounds = len(taken[BARE])
    memory = {peer: sizes[peer][-rounds:] for peer in taken}
    memory[OURS] = memory[CREDENTIAL]
    help_taken = {peer: taken.pop(peer) for peer in (PASS, HELP)}
    for unused in (PASS, HELP, CREDENTIAL, IMPORT):
        del memory[unused]
    del taken[CREDENTIAL]
    return [
        Row.of(FIRST, "ms", IMPORT, taken, floor=BARE),
        Row.of(MEMORY, "MiB", "requests", memory, floor=BARE),
        Row.of(HELP, "ms", PASS, {OURS: help_taken[HELP], PASS: help_taken[PASS]}),
    ]
