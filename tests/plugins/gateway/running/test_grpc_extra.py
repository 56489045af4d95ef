"""gRPC is an extra, which only a gateway with ``grpc_listen`` needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grantway import ConfigurationError
from grantway_plugins.gateway._running import building
from grantway_plugins.gateway._running.server import check
from tests.plugins.gateway.running.programs import PATIENCE, write

PROVIDER = """\
[providers.idp]
token_endpoint = "https://login.test/token"
client_id = "x"
auth = "none"
[routes.one]
provider = "idp"
tenant = "single"
on_failure = "closed"
[authorize]
listen = "127.0.0.1:0"
"""
GRPC = 'grpc_listen = "127.0.0.1:0"\n'


@pytest.mark.parametrize("missing", ["grpc", "google.protobuf"])
def test_a_missing_extra_is_reported_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    find_spec = building.find_spec
    monkeypatch.setattr(
        building, "find_spec", lambda name: None if name == missing else find_spec(name)
    )
    assert "is valid" in check(write(tmp_path, PROVIDER))
    with pytest.raises(ConfigurationError) as raised:
        check(write(tmp_path, PROVIDER + GRPC))
    expected = f"line 15: authorize.grpc_listen requires {missing}; install it with: "
    assert f"{expected}pip install 'grantway[envoy]'" in str(raised.value)


def test_other_gateways_do_not_import_grpc(tmp_path: Path) -> None:
    program = (
        "import sys; from grantway_plugins.gateway._running.server import check, serve; "
        f"check({str(write(tmp_path, PROVIDER + GRPC))!r}); "
        "sys.exit('grpc' in sys.modules or 'google.protobuf' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)


def test_other_machines_need_an_allow_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"authorize\.allow is missing"):
        check(write(tmp_path, PROVIDER + 'grpc_listen = "0.0.0.0:0"\n'))


def test_an_address_in_use_is_reported(tmp_path: Path) -> None:
    program = (
        "import socket, sys; from grantway_plugins.gateway._running.server import serve; "
        "taken = socket.create_server(('127.0.0.1', 0)); port = taken.getsockname()[1]; "
        "text = open(sys.argv[1]).read().replace('grpc_listen = \"127.0.0.1:0\"', "
        "f'grpc_listen = \"127.0.0.1:{port}\"'); open(sys.argv[1], 'w').write(text); "
        "serve(sys.argv[1])"
    )
    command = [sys.executable, "-c", program, write(tmp_path, PROVIDER + GRPC)]
    ended = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert b"for gRPC; choose a free port" in ended.stderr
