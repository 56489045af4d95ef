"""Tests of the object that all HTTP libraries accept."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest

import grantway
from grantway_plugins.auth import TokenAuth
from grantway_plugins.auth._httpx_flow import _private
from grantway_plugins.stores import FileStore
from tests.plugins.auth.libraries import by_aiohttp
from tests.plugins.auth.resource import Application, Resource

FRESH = """
import sys
import grantway
from grantway_plugins.auth import TokenAuth

client = grantway.Client(grantway.Provider("https://as.example/token"), client_id="c")
auth = TokenAuth(client.credential(grant_type="client_credentials", scope=["a"]))
print(*(name for name in ("aiohttp", "httpx", "httpx2") if name in sys.modules))
import httpx2

httpx2.alias_httpx()
import httpx

assert httpx is httpx2
print(isinstance(auth, httpx2.Auth), isinstance(auth, TokenAuth), type(auth) is TokenAuth)
httpx2.Client(auth=auth).close()
"""


def test_imports_no_library_and_works_with_one_that_is_imported_later() -> None:
    program = [sys.executable, "-W", "error", "-c", FRESH]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["", "True True True"]


def test_is_an_instance_of_the_class_that_each_library_checks(application: Application) -> None:
    auth = TokenAuth(application.credential())
    assert isinstance(auth, httpx.Auth)
    assert isinstance(auth, httpx2.Auth)
    assert not isinstance(auth, tuple)
    assert issubclass(auth.__class__, TokenAuth)
    assert auth.__class__.__name__ == "TokenAuth"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("secret-1", "a str"),
        (grantway.Token("secret-1"), "a Token"),
        (None, "None"),
        (grantway.Credential, "a type"),
    ],
)
def test_rejects_an_object_that_returns_no_tokens(source: Any, kind: str) -> None:
    with pytest.raises(grantway.ConfigurationError) as caught:
        TokenAuth(source)
    assert str(caught.value).startswith("credential: must be a credential, such as ")
    assert str(caught.value).endswith(f"invalidate; not {kind}.")
    assert "secret-1" not in str(caught.value)


def test_aiohttp_needs_the_origins(application: Application, resource: Resource) -> None:
    auth = TokenAuth(application.credential())
    with pytest.raises(grantway.ConfigurationError, match="origins: is required with aiohttp"):
        by_aiohttp(auth, resource.url)
    assert resource.seen == []


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_rejects_a_version_that_would_repeat_a_secret_header(
    library: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Headers(dict[str, str]):
        """Headers whose copies have all headers, as a later version might have."""

        def __init__(self, others: dict[str, str]) -> None:
            super().__init__(others)
            self["Authorization"] = "repeated"

    monkeypatch.setattr(Headers, "__module__", f"{library.__name__}._models")  # type: ignore[attr-defined]
    version = library.__version__  # type: ignore[attr-defined]
    with pytest.raises(grantway.ConfigurationError, match=rf"^header: \w+ {version} would send"):
        _private(Headers)


@pytest.mark.parametrize("files", [{"a": b"12"}, {"a": ("name", "text")}])
@pytest.mark.parametrize("library", [httpx, httpx2])
def test_sends_a_form_with_files_again(
    application: Application, resource: Resource, library: object, files: dict[str, object]
) -> None:
    credential = application.credential()
    application.revoke(credential.token())
    with library.Client(auth=TokenAuth(credential), trust_env=False) as client:  # type: ignore[attr-defined]
        assert client.post(resource.url, data={"b": "c"}, files=files).status_code == 200
    first, second = (seen.body for seen in resource.seen)
    assert first == second != b""


def test_sends_a_form_of_aiohttp_again(application: Application, resource: Resource) -> None:
    credential = application.credential()
    application.revoke(credential.token())
    form = aiohttp.FormData({"b": "c"})
    assert by_aiohttp(credential, resource.url, form).status == 200
    assert [seen.body for seen in resource.seen] == [b"b=c"] * 2


def test_a_pickled_object_has_the_same_settings(tmp_path: Path) -> None:
    client = grantway.Client(grantway.Provider("https://as.example/token"), client_id="c")
    credential = client.credential(grant_type="client_credentials", store=FileStore(tmp_path))
    auth = TokenAuth(
        credential, header="X-Token", scheme="", timeout=5, origins=["https://a.example"]
    )
    again = pickle.loads(pickle.dumps(auth))
    assert type(again) is TokenAuth
    assert again._options == auth._options
    assert again._bearer.value(grantway.Token("abc")) == "abc"
    with pytest.raises(TypeError, match="its on_step_up cannot"):
        pickle.dumps(TokenAuth(credential, on_step_up=lambda challenge: None))
