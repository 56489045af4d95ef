"""Public names: one list per package, one module per name, imported on first use."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import grantway
from grantway._transport.network import CA_VARIABLES
from grantway.testing.faults import FaultServer, respond
from tests.unmeasured import environment

PACKAGES = [
    "grantway",
    "grantway.testing",
    "grantway_plugins.auth",
    "grantway_plugins.aws",
    "grantway_plugins.client_auth",
    "grantway_plugins.executable",
    "grantway_plugins.gateway",
    "grantway_plugins.gateway.upstream",
    "grantway_plugins.issuer",
    "grantway_plugins.profiles",
    "grantway_plugins.secrets",
    "grantway_plugins.server",
    "grantway_plugins.stores",
    "grantway_plugins.testing",
]


def type_checking_imports(package: str) -> dict[str, str]:
    """Return name -> module from the block for type checkers."""
    module = import_module(package)
    tree = ast.parse(Path(inspect.getfile(module)).read_text(encoding="utf-8"))
    return {
        alias.name: f"{'.' * node.level}{node.module or ''}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not (node.module or "").endswith("_lazy")
        for alias in node.names
        if alias.asname == alias.name
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_and_programs_get_the_same_names(package: str) -> None:
    module = import_module(package)
    stated = type_checking_imports(package)
    assert sorted(stated) == module.__all__
    for name, home in stated.items():
        value = getattr(module, name)
        if not inspect.ismodule(value):
            assert value is getattr(import_module(home, package), name)
        assert name in dir(module)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_star_import_gets_every_public_name(package: str) -> None:
    scope: dict[str, object] = {}
    exec(f"from {package} import *", scope)
    assert set(import_module(package).__all__) <= set(scope)


def test_every_exception_is_public() -> None:
    exceptions = import_module("grantway._exceptions")
    defined = {
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert defined <= set(grantway.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Clinet'"):
        import_module(package).Clinet  # noqa: B018


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_report_an_unknown_name(package: str) -> None:
    """They would accept every name of a module with a ``__getattr__``."""
    source = Path(inspect.getfile(import_module(package))).read_text(encoding="utf-8")
    names = {
        node.id
        for each in visible(ast.parse(source))
        for node in ast.walk(each)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    assert "__getattr__" not in names


def visible(module: ast.Module) -> list[ast.stmt]:
    """Return the statements that type checkers read."""
    return [
        each
        for each in module.body
        if not (isinstance(each, ast.If) and ast.unparse(each.test) == "not TYPE_CHECKING")
    ]


def test_importing_a_package_loads_no_library() -> None:
    code = (
        f"import sys, {', '.join(PACKAGES)};"
        "print([m for m in ('requests', 'urllib3', 'marshmallow', 'pluggy', 'cachetools',"
        " 'sqlalchemy', 'starlette', 'http.client', 'typing') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"


def test_a_token_request_over_http_loads_only_what_it_uses() -> None:
    code = """if True:
        import sys, grantway
        with grantway.Client(grantway.Provider(sys.argv[1]), client_id="me") as client:
            client.create_token(grant_type="refresh_token", refresh_token="rt")
        unused = ("requests", "urllib3", "http.client", "asyncio", "ssl", "pathlib")
        print([m for m in unused if m in sys.modules])
    """
    variables = {name: value for name, value in environment().items() if name not in CA_VARIABLES}
    with FaultServer(respond()) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, server.token_endpoint],
            env=variables,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stdout.strip() == "[]"
