"""Memory of a process with one client and one token, beside other libraries.

Run: ``python -m tests.benchmarks.memory [--rounds N]``

Each program of ``first_token.py`` ends with its client and token in memory, and prints its resident
memory. The results are medians in MiB, and differences from a bare interpreter. On Linux, the
numbers are the resident memory at the end (VmRSS) and its maximum (VmHWM) in ``/proc``; elsewhere,
both are the maximum that ``getrusage`` returns.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from dataclasses import dataclass

from tests.benchmarks.first_token import BARE, plain_environment, programs, server

_CREDENTIAL = """
import grantway
client = grantway.Client(
    grantway.Provider(token_endpoint=URL), client_id="client", client_secret="s" * 32
)
credential = client.credential(grant_type="refresh_token", refresh_token="r" * 43)
assert credential.token().access_token
"""
#: Prints VmRSS and VmHWM in KiB.
_REPORT = """
import sys
if sys.platform == "linux":
    with open("/proc/self/status") as status:
        sizes = dict(line.split(":", 1) for line in status)
    print(sizes["VmRSS"].split()[0], sizes["VmHWM"].split()[0])
else:
    import resource
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    most //= 1024 if sys.platform == "darwin" else 1
    print(most, most)
"""
_MIB = 1024


@dataclass(frozen=True)
class Row:
    """The memory of one program.

    Attributes:
        name: Name of the program.
        resident: Resident memory at the end, in MiB.
        peak: Maximum of the resident memory, in MiB.
        added: ``resident`` without that of a bare interpreter.
    """

    name: str
    resident: float
    peak: float
    added: float


def measure(rounds: int) -> list[Row]:
    """Run every program in turn, and return one row for each."""
    with server() as base, tempfile.TemporaryDirectory() as folder:
        environment = plain_environment(folder)
        commands = programs(base)
        commands["grantway with a credential"] = [
            *commands["grantway"][:2],
            f"URL = {base + '/token'!r}\n{_CREDENTIAL}",
        ]
        sizes: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, (python, option, code) in commands.items():
                done = subprocess.run(
                    [python, option, code + _REPORT],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                resident, peak = (int(each) / _MIB for each in done.stdout.split())
                if number:  # compiling the modules in the first round takes more memory
                    sizes[name].append((resident, peak))
    medians = {
        name: tuple(statistics.median(each) for each in zip(*pairs, strict=True))
        for name, pairs in sizes.items()
    }
    return [
        Row(name, resident, peak, resident - medians[BARE][0])
        for name, (resident, peak) in medians.items()
    ]


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(f"Resident memory of a process with a client and a token ({rounds} rounds)\n")
    print("| program | MiB | peak | MiB above a bare interpreter |\n|---|---|---|---|")
    for row in measure(rounds):
        print(f"| {row.name} | {row.resident:.1f} | {row.peak:.1f} | {row.added:.1f} |")


if __name__ == "__main__":
    main()
