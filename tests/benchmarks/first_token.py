"""Time from the start of a process to a token in hand, beside other libraries.

Run: ``python -m tests.benchmarks.first_token [--rounds N]``

Each program requests one token from a server on loopback and ends. The programs alternate within
one run, so that other load affects all alike. The results are medians of the processor time of
whole processes minus that of a bare interpreter, as multiples of ``import requests``; results of
different runs are not comparable. Compiled modules are kept in a temporary folder, and settings of
this machine that cost time, such as a certificate file for every request, are removed.

Unlike a token, ``grantway --help`` is compared with the bare interpreter itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.client import MSAL_AUTHORITY, _serve

BARE, BASE, HELP = "python -c pass", "import requests", "grantway --help"
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
#: Code of each program. ``URL`` is the token endpoint, and ``BASE`` the server's address.
PROGRAMS = {
    BARE: "pass",
    BASE: "import requests",
    "requests post + json": """
import requests
form = {"grant_type": "refresh_token", "refresh_token": "r" * 43}
with requests.Session() as session:
    assert session.post(URL, data=form, auth=("client", "s" * 32)).json()["access_token"]
""",
    "import grantway": "import grantway",
    "grantway Client": """
import grantway
grantway.Client(grantway.Provider(token_endpoint=URL), client_id="client", client_secret="s" * 32)
""",
    "grantway": """
import grantway
client = grantway.Client(
    grantway.Provider(token_endpoint=URL), client_id="client", client_secret="s" * 32
)
assert client.create_token(grant_type="refresh_token", refresh_token="r" * 43).access_token
""",
    "msal": f"""
import msal, requests

class ToLoopback(requests.adapters.HTTPAdapter):
    def send(self, request, **options):
        request.url = request.url.replace({MSAL_AUTHORITY!r}, BASE)
        return super().send(request, **options)

session = requests.Session()
session.mount({MSAL_AUTHORITY!r}, ToLoopback())
app = msal.ConfidentialClientApplication(
    "client",
    client_credential="s" * 32,
    oidc_authority={MSAL_AUTHORITY!r},
    instance_discovery=False,
    http_client=session,
)
assert app.acquire_token_by_refresh_token("r" * 43, scopes=["read"])["access_token"]
""",
    "Authlib on requests": """
import os
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
from authlib.integrations.requests_client import OAuth2Session
session = OAuth2Session("client", "s" * 32, token_endpoint=URL)
assert session.refresh_token(URL, refresh_token="r" * 43)["access_token"]
""",
    "Authlib on httpx": """
import os
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
from authlib.integrations.httpx_client import OAuth2Client
client = OAuth2Client("client", "s" * 32, token_endpoint=URL)
assert client.refresh_token(URL, refresh_token="r" * 43)["access_token"]
""",
    "requests_oauth2client": """
from requests_oauth2client import OAuth2Client
client = OAuth2Client(token_endpoint=URL, client_id="client", client_secret="s" * 32, testing=True)
assert client.refresh_token("r" * 43).access_token
""",
    "boto3": """
import boto3, botocore
client = boto3.client(
    "sso-oidc",
    region_name="us-east-1",
    endpoint_url=BASE,
    config=botocore.config.Config(signature_version=botocore.UNSIGNED),
)
assert client.create_token(
    clientId="client", clientSecret="s" * 32, grantType="refresh_token", refreshToken="r" * 43
)["accessToken"]
""",
}


@dataclass(frozen=True)
class Row:
    """The result of one program.

    Attributes:
        name: Name of the program.
        ratio: Processor time as a multiple of ``import requests``, both without the interpreter's;
            for ``grantway --help``, a multiple of the bare interpreter.
        milliseconds: Median processor time of the process, with the interpreter's.
    """

    name: str
    ratio: float
    milliseconds: float


@contextmanager
def server() -> Iterator[str]:
    """Run the token server of ``client.py``, and yield its address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def programs(base: str) -> dict[str, list[str]]:
    """Return the commands by name, for a token server at this address."""
    head = f"BASE, URL = {base!r}, {base + '/token'!r}\n"
    return {name: [sys.executable, "-c", head + code] for name, code in PROGRAMS.items()}


def plain_environment(cache: str) -> dict[str, str]:
    """Return the environment without this machine's settings.

    Args:
        cache: Folder for the compiled modules.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _UNSET and not name.lower().endswith("_proxy")
    }
    return {**kept, "PYTHONPYCACHEPREFIX": cache}


def seconds(command: list[str], environment: Mapping[str, str]) -> float:
    """Run a command, and return its processor time.

    Raises:
        ChildProcessError: it failed.
    """
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(command[0], command, environment, file_actions=silent)
    _, status, used = os.wait4(process, 0)
    if status:
        raise ChildProcessError(f"{command} failed with status {status}")
    return used.ru_utime + used.ru_stime


def measure(rounds: int) -> list[Row]:
    """Run every program in turn, and return one row for each."""
    with server() as base, tempfile.TemporaryDirectory() as folder:
        environment = plain_environment(folder)
        commands = programs(base)
        commands[HELP] = [str(Path(sys.executable).with_name("grantway")), "--help"]
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, command in commands.items():
                spent = seconds(command, environment)
                if number:  # the first round compiles the modules
                    taken[name].append(spent)
    medians = {name: statistics.median(each) for name, each in taken.items()}
    bare = medians[BARE]
    base_cost = medians[BASE] - bare
    return [
        Row(name, median / bare if name == HELP else (median - bare) / base_cost, median * 1000)
        for name, median in medians.items()
    ]


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    began = time.perf_counter()
    rows = measure(rounds)
    print(f"From the start of a process to a token ({rounds} rounds, processor time)\n")
    print("| program | x import requests | milliseconds |\n|---|---|---|")
    for row in rows:
        if row.name != HELP:
            print(f"| {row.name} | {row.ratio:.2f} | {row.milliseconds:.0f} |")
    (help_row,) = (row for row in rows if row.name == HELP)
    print(f"\n`{HELP}`: {help_row.ratio:.1f} x a bare interpreter")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
