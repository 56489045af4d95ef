"""Tests of ``grantway token --format`` with the programs that read its formats."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import docker.auth
import docker.credentials
import docker.errors
import pytest

import grantway
from grantway_plugins.cli.token import cache_location
from tests.faults import certificate
from tests.interop.documented import commands, example
from tests.plugins.cli.home import Home

SCRIPTS = Path(sys.executable).parent
PATIENCE = 60
REFS = b"d670460b4b4aece5915caf5c68d12f560a9fe3e4\trefs/heads/main\n"


class _Handler(BaseHTTPRequestHandler):
    """Requires a token, as a bearer token or as a password."""

    server: ProtectedServer

    def do_GET(self) -> None:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            value = b64decode(value).decode()
        self.server.received.append((scheme, value))
        body = REFS if self.path.startswith("/repo.git") else b'{"kind": "APIVersions"}'
        accepted = value.endswith("at-1")
        self.send_response(200 if accepted else 401)
        if not accepted:
            body = b""
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
        kind = "text/plain" if "git" in self.path else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Log nothing."""


class ProtectedServer(ThreadingHTTPServer):
    """A server that records the credentials it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, str]] = []
        self.authority = ""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[ProtectedServer]:
    with running(ProtectedServer()) as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ProtectedServer]:
    """Run a server with TLS, without which kubectl sends no token."""
    context, authority = certificate(tmp_path)
    server = ProtectedServer()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.authority = authority
    with running(server):
        yield server


@contextmanager
def running(server: ProtectedServer) -> Iterator[ProtectedServer]:
    with server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a home with ``grantway`` on the PATH and a profile with a fresh token."""
    home = Home(tmp_path)
    home.write('[profiles.work]\nprovider = "https://login.example.com"\nclient_id = "a"\n')
    home.env |= {"PATH": f"{SCRIPTS}{os.pathsep}{home.env['PATH']}", "NO_PROXY": "*"}
    monkeypatch.setenv("XDG_STATE_HOME", home.env["XDG_STATE_HOME"])
    with home.profile() as profile:
        token = grantway.Token("at-1", expires_at=time.time() + 3600)
        profile.store.save(profile.key, token)
        cache_location(profile, token)
    return home


def run(home: Home, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**home.env, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def git(home: Home, host: str, address: str) -> subprocess.CompletedProcess[str]:
    """List the branches of a repository, with the documented configuration."""
    text = example("~/.gitconfig").replace("https://git.example.com", f"http://{address}")
    (home.folder / ".gitconfig").write_text(text.replace("git.example.com", host))
    plain = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GIT_CONFIG_NOSYSTEM": "1"}
    return run(home, "git", "ls-remote", f"http://{address}/repo.git", **plain)


def test_git_sends_the_token_as_the_password(work: Home, server: ProtectedServer) -> None:
    done = git(work, server.host, server.host)
    assert (done.returncode, done.stdout.encode()) == (0, REFS)
    assert server.received[-1] == ("Basic", "oauth2:at-1")


def test_git_uses_the_username_of_the_address(work: Home, server: ProtectedServer) -> None:
    assert git(work, server.host, f"alice@{server.host}").returncode == 0
    assert server.received[-1] == ("Basic", "alice:at-1")


def test_git_gets_no_token_for_another_host(work: Home, server: ProtectedServer) -> None:
    done = git(work, "git.example.com", server.host)
    assert done.returncode == 128
    assert server.received == [("", "")]


def kubectl(home: Home, cluster: ProtectedServer, host: str, version: str = "v1") -> list[str]:
    text = example("~/.kube/config").replace("https://cluster.example.com:6443", "SERVER")
    settings = {
        "SERVER": f"https://{cluster.host}",
        "/etc/kubernetes/ca.pem": cluster.authority,
        "cluster.example.com:6443": host,
        "k8s.io/v1": f"k8s.io/{version}",
    }
    for name, value in settings.items():
        text = text.replace(name, value)
    file = home.folder / "kubeconfig"
    file.write_text(text)
    done = run(home, SCRIPTS / "kubectl", f"--kubeconfig={file}", "get", "--raw", "/api")
    return [str(done.returncode), done.stdout, done.stderr]


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_kubectl_sends_the_token(work: Home, cluster: ProtectedServer, version: str) -> None:
    status, shown, errors = kubectl(work, cluster, cluster.host, version)
    assert (status, json.loads(shown or "{}")) == ("0", {"kind": "APIVersions"}), errors
    assert cluster.received == [("Bearer", "at-1")]


def test_kubectl_sends_no_token_to_another_cluster(work: Home, cluster: ProtectedServer) -> None:
    status, _, errors = kubectl(work, cluster, "cluster.example.com:6443")
    assert status == "1"
    assert "Error: the cluster is not one of those in --host." in errors
    assert not cluster.received


@pytest.mark.parametrize("command", commands("curl"), ids=["argument", "pipe"])
def test_curl_sends_the_header(work: Home, server: ProtectedServer, command: str) -> None:
    done = run(
        work, "bash", "-c", command.replace("https://api.example.com", f"http://{server.host}")
    )
    assert done.returncode == 0, done.stderr
    assert server.received == [("Bearer", "at-1")]


@pytest.fixture
def docker_helper(work: Home) -> docker.credentials.Store:
    """Return the client of docker-py for a helper that runs ``grantway token``."""
    helper = work.folder / "docker-credential-work"
    helper.write_text(example("docker-credential-work"))
    helper.chmod(0o700)
    path = f"{work.folder}{os.pathsep}{work.env['PATH']}"
    os.environ["PATH"], before = path, os.environ["PATH"]
    try:
        return docker.credentials.Store("work", environment={**work.env, "PATH": path})
    finally:
        os.environ["PATH"] = before


@pytest.mark.parametrize("server", ["registry.example.com", "https://registry.example.com/v2/"])
def test_docker_gets_the_token(docker_helper: docker.credentials.Store, server: str) -> None:
    found = docker_helper.get(server)
    assert found == {"ServerURL": server, "Username": "oauth2", "Secret": "at-1"}
    assert docker_helper.list() == {"registry.example.com": "oauth2"}


def test_docker_finds_the_helper_in_its_configuration(
    work: Home, docker_helper: docker.credentials.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", docker_helper.environment["PATH"])
    file = work.folder / "config.json"
    file.write_text(example("~/.docker/config.json"))
    config = docker.auth.load_config(str(file), credstore_env=docker_helper.environment)
    assert config.resolve_authconfig("registry.example.com") == {
        "ServerAddress": "registry.example.com",
        "Username": "oauth2",
        "Password": "at-1",
    }
    assert not config.resolve_authconfig("ghcr.io")


def test_docker_gets_no_token_for_another_registry(
    docker_helper: docker.credentials.Store,
) -> None:
    for server in ("registry.example.com.evil.example", "http://registry.example.com", "ghcr.io"):
        with pytest.raises(docker.credentials.CredentialsNotFound):
            docker_helper.get(server)
    with pytest.raises(docker.credentials.StoreError, match="grantway does not store passwords"):
        docker_helper.store("registry.example.com", "me", "secret")
