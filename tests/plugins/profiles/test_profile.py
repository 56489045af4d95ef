"""Tests of profiles as programs use them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import grantway
from grantway._exceptions import ConfigurationError, LoginNeededError, SecretUnavailableError
from grantway_grants.authorization_code import AuthorizationCodeFlow
from grantway_plugins import profiles
from grantway_plugins._paths import config_path
from grantway_plugins.profiles import Profile
from grantway_plugins.stores.file._store import FileStore
from grantway_plugins.testing import LiveIssuer
from tests import faults, forked
from tests.faults import FaultServer

ENDPOINT = 'provider = {token_endpoint = "https://login.example.com/token"}\n'


KEYRING = "client_secret = {source = 'keyring', service = 'grantway-tests', username = 'app'}"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(tmp_path: Path, body: str) -> Profile:
    return profiles.load("work", written(tmp_path, f"[profiles.work]\n{body}"))


def robot(tmp_path: Path, issuer: LiveIssuer, secret: str) -> Path:
    """Return a profile that uses client credentials."""
    client = issuer.client(grant_types=["client_credentials"])
    (tmp_path / "secret.txt").write_text(f"{client.auth.client_secret}\n")  # type: ignore[attr-defined]
    return written(
        tmp_path,
        f'[profiles.work]\nprovider = "{issuer.url}"\ngrant = "client_credentials"\n'
        f'client_id = "{client.client_id}"\n{secret}\nscope = "read"\n'
        'store = {kind = "file", folder = "tokens"}\n',
    )


@pytest.mark.parametrize("discovered", [False, True])
def test_pushes_a_login_to_the_endpoint_of_the_profile(
    tmp_path: Path, grantway_issuer: LiveIssuer, discovered: bool
) -> None:
    with FaultServer(
        faults.respond(201, {"request_uri": "urn:pushed", "expires_in": 60})
    ) as server:
        where = (
            f'issuer = "{grantway_issuer.url}"'
            if discovered
            else f'token_endpoint = "{server.url}/token", authorization_endpoint = "{server.url}/a"'
        )
        pushed = f'pushed_authorization_request_endpoint = "{server.url}/par"'
        body = f'provider = {{{where}, {pushed}}}\nclient_id = "me"\nstore = "memory"\n'
        with loaded(tmp_path, body) as profile:
            begun = AuthorizationCodeFlow(profile.client()).begin("http://127.0.0.1/callback")
        (request,) = server.requests
    assert request.target == "/par"
    assert "request_uri=urn%3Apushed" in begun.url


def test_a_program_uses_a_profile_like_the_command(
    tmp_path: Path, grantway_issuer: LiveIssuer
) -> None:
    path = robot(
        tmp_path, grantway_issuer, 'client_secret = {source = "file", path = "secret.txt"}'
    )
    with profiles.load("work", path) as profile:
        token = profile.credential().token()
        assert profile.token() == token
        assert token.scope == ("read",)
        assert isinstance(profile.store, FileStore)
        # Both are relative to the file.
        assert profile.store.path(profile.key).parent == tmp_path / "tokens"
    with profiles.load("work", path) as again:
        assert again.token() == token


def test_reports_a_missing_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    (tmp_path / "empty").write_text("\n")
    expected = {
        "{source = 'env', name = 'NO_SUCH_SECRET'}": "variable NO_SUCH_SECRET is not set; set it",
        "{source = 'file', path = 'none'}": "/none cannot be read (No such file or directory)",
        "{source = 'file', path = 'empty'}": "/empty is empty; write the secret into it",
    }
    body = f"{ENDPOINT}client_id = 'a'\ngrant = 'client_credentials'\nstore = 'memory'\n"
    for source, rule in expected.items():
        with loaded(tmp_path, f"{body}client_secret = {source}\n") as profile:
            with pytest.raises(SecretUnavailableError) as refused:
                profile.token()
            place = f"{tmp_path}/config.toml, line 6: profiles.work.client_secret: the secret"
            assert str(refused.value).startswith(place)
            assert rule in str(refused.value)


def test_reads_a_secret_from_the_keyring(tmp_path: Path) -> None:
    body = f"{ENDPOINT}client_id = 'app'\n{KEYRING}\n"
    path = written(tmp_path, f"[profiles.work]\n{body}")
    env = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
    }
    code = (
        "import sys, keyring; from grantway_plugins import profiles\n"
        "def ask():\n"
        "  with profiles.load('work', sys.argv[1]) as profile:\n"
        "    try: print(profile.client().auth.current().client_secret)\n"
        "    except Exception as error: print(error)\n"
        "ask(); keyring.set_password('grantway-tests', 'app', 's3'); ask()"
    )
    done = forked.run(
        [sys.executable, "-c", code, path],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    nothing, secret = done.stdout.splitlines()
    assert "to add one, run: keyring set grantway-tests app" in nothing
    assert secret == "s3"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('store = "nowhere"', "'nowhere' is not registered; use aws-cli,"),
        ('store = {kind = "file", foldr = "a"}', "created: it has no option foldr"),
        ('store = "encrypted"', "created: it needs the option inner"),
        ('store = {kind = "encrypted", inner = "file"}', "one of key, key_env and key_ring"),
        (
            'store = {kind = "redis", url = "redis+cluster://127.0.0.1,127.0.0.2/3"}',
            "created: url: must not name a database",
        ),
        (
            'store = {kind = "redis", url = "redis+sentinel://127.0.0.1"}',
            "created: url: must name the service",
        ),
    ],
)
def test_rejects_invalid_store_options(tmp_path: Path, line: str, rule: str) -> None:
    with loaded(tmp_path, f"{ENDPOINT}client_id = 'a'\n{line}\n") as profile:
        with pytest.raises(ConfigurationError) as refused:
            _ = profile.store
        assert "config.toml, line 4: profiles.work.store cannot be created: " in str(refused.value)
        assert rule in str(refused.value)


def test_rejects_an_unknown_dialect(tmp_path: Path) -> None:
    body = 'provider = {issuer = "https://login.example.com", dialect = "klingon"}\n'
    with loaded(tmp_path, body) as profile, pytest.raises(ConfigurationError) as refused:
        _ = profile.freshness
    assert "line 2: profiles.work.provider.dialect 'klingon' is not registered" in str(
        refused.value
    )


def test_takes_the_freshness_from_the_profile_or_the_dialect(tmp_path: Path) -> None:
    with loaded(tmp_path, f"{ENDPOINT}freshness = {{advisory = 60, mandatory = 5}}\n") as profile:
        assert profile.freshness == grantway.Freshness(60, 5)
    with loaded(tmp_path, ENDPOINT) as profile:
        assert profile.freshness == grantway.Freshness()


BASE: dict[str, Any] = {"provider": '"https://login.example.com"', "client_id": '"a"'}


@pytest.mark.parametrize(
    "change",
    [
        {"provider": '"https://login.example.org"'},
        {"client_id": '"b"'},
        {"scope": '"read"'},
        {"extra": '{audience = "b"}'},
        {"resource": '"https://api.example.com/"'},
        {"grant": '"client_credentials"'},
    ],
)
def test_the_key_depends_on_the_settings_that_determine_the_token(
    tmp_path: Path, change: dict[str, str]
) -> None:
    def key(fields: dict[str, str], name: str = "work") -> str:
        body = "".join(f"{field} = {value}\n" for field, value in fields.items())
        path = written(tmp_path, f"[profiles.{name}]\n{body}")
        with profiles.load(name, path) as profile:
            return profile.key

    assert key({**BASE, **change}) != key(BASE)
    assert key(BASE, "other") != key(BASE)
    # The secret's source, the store and the refresh windows do not change the key.
    other = {"client_secret": '{source = "env", name = "S"}', "store": '"memory"'}
    assert key({**BASE, **other}) == key(BASE)
    assert key({**BASE, "scope": '"read write"'}) == key({**BASE, "scope": '["read", "write"]'})


def test_each_refresh_repeats_the_resource_and_extra_of_the_login(tmp_path: Path) -> None:
    with FaultServer(faults.respond()) as server:
        profile = loaded(
            tmp_path,
            f'provider = {{token_endpoint = "{server.token_endpoint}"}}\nclient_id = "c"\n'
            'resource = ["https://a.example/", "https://b.example/"]\nstore = "memory"\n'
            'scope = "read"\nextra = {tenant = "7", prompt = "login"}\n',
        )
        with profile:
            profile.credential().accept(grantway.Token("at", expires_at=1.0, refresh_token="rt"))
            profile.token()
    (refresh,) = server.requests
    assert refresh.form == {
        "client_id": ["c"],
        "grant_type": ["refresh_token"],
        "refresh_token": ["rt"],
        "resource": ["https://a.example/", "https://b.example/"],
        "tenant": ["7"],
    }


@pytest.mark.parametrize("grant", ["client_credentials", "refresh_token"])
def test_a_grant_without_a_user_requests_the_resource(tmp_path: Path, grant: str) -> None:
    with FaultServer(faults.respond()) as server:
        profile = loaded(
            tmp_path,
            f'provider = {{token_endpoint = "{server.token_endpoint}"}}\nclient_id = "c"\n'
            f'resource = "https://a.example/"\nstore = "memory"\ngrant = "{grant}"\n'
            + ('params = {refresh_token = "rt"}\n' if grant == "refresh_token" else ""),
        )
        with profile:
            profile.token()
    assert server.requests[0].form["resource"] == ["https://a.example/"]


@pytest.mark.parametrize("key", ["params", "extra"])
def test_rejects_a_resource_that_is_set_twice(tmp_path: Path, key: str) -> None:
    body = f'{ENDPOINT}client_id = "c"\ngrant = "client_credentials"\nresource = "urn:a"\n'
    with pytest.raises(
        ConfigurationError, match=r"resource is also set as resource of the profile"
    ):
        loaded(tmp_path, f'{body}{key} = {{resource = "urn:b"}}\n')


def test_an_error_without_a_login_says_how_to_log_in(tmp_path: Path) -> None:
    with loaded(tmp_path, f'{ENDPOINT}client_id = "a"\nstore = "memory"\n') as profile:
        with pytest.raises(LoginNeededError, match="run: grantway login work"):
            profile.token()
        profile.store.save(profile.key, grantway.Token("at", expires_at=time.time() + 20))
        assert profile.token().access_token == "at"  # it is still valid, and cannot be refreshed


@pytest.mark.parametrize("rejected", [False, True])
def test_a_credential_without_a_login_names_the_command(tmp_path: Path, rejected: bool) -> None:
    with FaultServer(faults.respond(400, {"error": "invalid_grant"})) as server:
        body = f'provider = {{token_endpoint = "{server.token_endpoint}"}}\nclient_id = "c"\n'
        with loaded(tmp_path, f'{body}store = {{kind = "file", folder = "tokens"}}\n') as profile:
            credential = profile.credential()
            if rejected:
                credential.accept(grantway.Token("at", expires_at=1.0, refresh_token="rt"))
            with pytest.raises(LoginNeededError) as caught:
                credential.token()
    assert f"Profile work needs a login; run: {profile.command('login')}" in str(caught.value)
    assert "accept()" not in str(caught.value)
    assert ("invalid_grant" in str(caught.value)) == rejected


def test_an_endpoint_in_the_file_overrides_the_metadata(
    tmp_path: Path, grantway_issuer: LiveIssuer
) -> None:
    body = (
        f'provider = {{issuer = "{grantway_issuer.url}", '
        'revocation_endpoint = "https://login.example.com/revoke"}\n'
    )
    with loaded(tmp_path, body) as profile:
        assert profile.provider.revocation_endpoint == "https://login.example.com/revoke"
        assert profile.provider.token_endpoint == f"{grantway_issuer.url}/token"


def test_accepts_the_expected_issuer_in_the_metadata(tmp_path: Path) -> None:
    own = "https://login.example.com/{tenantid}"
    metadata = {"issuer": own, "token_endpoint": "https://login.example.com/token"}
    with FaultServer(faults.respond(200, metadata)) as server:
        body = (
            f'provider = {{issuer = "{server.url}", expected_issuer = "{own}"}}\nclient_id = "c"\n'
        )
        with loaded(tmp_path, body) as profile:
            assert profile.provider.token_endpoint == "https://login.example.com/token"


def test_rejects_an_expected_issuer_without_metadata(tmp_path: Path) -> None:
    provider = '{token_endpoint = "https://login.example.com/token", expected_issuer = "x"}'
    with pytest.raises(
        ConfigurationError, match="expected_issuer applies to the metadata of issuer"
    ):
        loaded(tmp_path, f'provider = {provider}\nclient_id = "c"\n')


def test_finds_the_profile_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import platformdirs  # noqa: PLC0415

    monkeypatch.delenv("GRANTWAY_CONFIG", raising=False)
    for folder in (None, "", "relative", str(tmp_path)):
        if folder is None:
            monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        else:
            monkeypatch.setenv("XDG_CONFIG_HOME", folder)
        expected = Path(platformdirs.user_config_dir("grantway"), "config.toml")
        if folder != "relative":  # XDG requires an absolute path
            assert Path(config_path()) == expected
    monkeypatch.setenv("GRANTWAY_CONFIG", str(tmp_path / "named.toml"))
    assert config_path() == str(tmp_path / "named.toml")
    assert config_path(str(tmp_path / "asked.toml")) == str(tmp_path / "asked.toml")


def test_the_repr_shows_no_secret(tmp_path: Path) -> None:
    with loaded(tmp_path, f"{ENDPOINT}client_id = 'a'\nclient_secret = 's3cr3t'\n") as profile:
        assert "s3cr3t" not in repr(profile)
        assert "s3cr3t" not in repr(profile.client())


@pytest.mark.parametrize("place", ["client_assertion", "subject_token"])
def test_a_rotated_file_is_used_for_the_next_token(tmp_path: Path, place: str) -> None:
    """For client authentication and for a parameter of the grant."""
    source = '{source = "file", path = "identity"}'
    subject = source if place == "subject_token" else '"subject-1"'
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    kind = "urn:ietf:params:oauth:token-type:jwt"
    (tmp_path / "identity").write_text("e30.e30.one")
    with FaultServer(faults.respond()) as server:
        profile = loaded(
            tmp_path,
            f'provider = {{token_endpoint = "{server.token_endpoint}"}}\nclient_id = "c"\n'
            f'grant = "{exchange}"\nstore = "memory"\n'
            f'params = {{subject_token = {subject}, subject_token_type = "{kind}"}}\n'
            + (f"client_assertion = {source}\n" if place == "client_assertion" else ""),
        )
        with profile:
            credential = profile.credential()
            credential.invalidate(credential.token())
            (tmp_path / "identity").unlink()
            (tmp_path / "identity").write_text("e30.e30.two")
            credential.token()
        assert [each.form[place] for each in server.requests] == [["e30.e30.one"], ["e30.e30.two"]]


def test_reports_a_wrong_source_of_a_parameter(tmp_path: Path) -> None:
    body = (
        f"{ENDPOINT}client_id = 'a'\ngrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer'\n"
        "params = {assertion = {source = 'vualt', path = 'x'}}\n"
    )
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path, body)
    assert str(refused.value).startswith(
        f"{tmp_path}/config.toml, line 5: profiles.work.params.assertion.source is not a known "
        "secret source: vualt; "
    )


def test_a_program_in_the_folder_of_the_file_prints_the_secret(tmp_path: Path) -> None:
    program = tmp_path / "print-secret"
    program.write_text("#!/bin/sh\necho s3cr3t-of-the-program\n")
    program.chmod(0o755)
    with FaultServer(faults.respond()) as server:
        profile = loaded(
            tmp_path,
            f'provider = {{token_endpoint = "{server.token_endpoint}"}}\nclient_id = "c"\n'
            'grant = "client_credentials"\nstore = "memory"\nauth = "client_secret_post"\n'
            'client_secret = {source = "command", command = ["./print-secret"]}\n',
        )
        with profile:
            profile.token()
        assert server.requests[0].form["client_secret"] == ["s3cr3t-of-the-program"]
