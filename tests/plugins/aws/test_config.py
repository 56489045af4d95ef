"""Reading ``~/.aws/config``."""

from __future__ import annotations

from pathlib import Path

import botocore.session
import pytest

from grantway._exceptions import ConfigurationError
from grantway_plugins.aws._config.sso_config import SsoConfig, read_config

START_URL = "https://d-0000000000.awsapps.com/start"
WHOLE = f"""\
[default]
region = eu-west-1

[sso-session dev]
sso_start_url = {START_URL}
sso_region = eu-west-1
sso_registration_scopes = sso:account:access, codewhisperer:analysis ,

[sso-session "two words"]
sso_start_url = {START_URL}
sso_region = us-east-1

[profile of-dev]
sso_session = dev
sso_account_id = 123456789012
sso_role_name = reader
s3 =
    max_concurrent_requests = 20

[profile older]
sso_start_url = {START_URL}/older
sso_region = eu-central-1
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config"
    path.write_text(WHOLE, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    return path


def test_reads_a_session_by_name() -> None:
    assert read_config("dev") == SsoConfig(
        name="dev",
        start_url=START_URL,
        region="eu-west-1",
        scopes=("sso:account:access", "codewhisperer:analysis"),
        login_command="aws sso login --sso-session dev",
        option="--sso-session dev",
    )
    assert read_config("dev").key == "dev"


def test_reads_a_session_with_a_quoted_name() -> None:
    found = read_config("two words")
    assert (found.name, found.scopes) == ("two words", None)
    assert found.login_command == "aws sso login --sso-session 'two words'"


def test_reads_the_session_of_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_config(profile="of-dev") == read_config("dev")
    monkeypatch.setenv("AWS_DEFAULT_PROFILE", "older")
    assert read_config().name is None
    monkeypatch.setenv("AWS_PROFILE", "of-dev")
    assert read_config() == read_config("dev")


def test_reads_a_profile_with_its_own_start_url() -> None:
    found = read_config(profile="older")
    assert (found.name, found.key, found.scopes) == (None, f"{START_URL}/older", None)
    assert found.login_command == "aws sso login --profile older"
    assert found.option == "--sso-profile older"


def test_botocore_reads_the_same_settings() -> None:
    theirs = botocore.session.Session().full_config
    for name, values in theirs["sso_sessions"].items():
        ours = read_config(name)
        assert ours.start_url == values["sso_start_url"]
        assert ours.region == values["sso_region"]
    assert set(theirs["profiles"]) == {"default", "of-dev", "older"}


def test_reads_another_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(WHOLE.replace("sso-session dev", "sso-session test"), encoding="utf-8")
    assert read_config("test", path=other).name == "test"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no section [sso-session dev]; it has no sessions"),
        ("[sso-session prod]\n", "it has the sessions prod"),
        ("[sso-session dev]\nsso_region = eu-west-1\n", "[sso-session dev]: sso_start_url is miss"),
        ("[sso-session dev]\nsso_start_url = a\n", "sso_start_url must be an address"),
        (f"[sso-session dev]\nsso_start_url = {START_URL}\n", "sso_region is missing"),
        (f"[sso-session dev]\nsso_start_url = {START_URL}\nsso_region = ../x\n", "an AWS region"),
        ("sso_region = secret-1\n", "line 1: is outside any section"),
        ("[sso-session dev]\nsecret-1\n", "line 2: is neither"),
        ("[sso-session dev]\n[sso-session dev]\n", "line 2: duplicate section [sso-session dev]"),
        ("[sso-session dev]\na = secret-1\na = 2\n", "line 3: duplicate a in [sso-session dev]"),
    ],
)
def test_reports_mistakes_without_quoting_values(config: Path, text: str, expected: str) -> None:
    config.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        read_config("dev")
    assert expected in refused.value.message
    assert refused.value.message.startswith(str(config))
    assert "secret-1" not in refused.value.message
    assert refused.value.__context__ is None


def test_reports_a_missing_or_binary_file(config: Path) -> None:
    config.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_config("dev")
    config.unlink()
    with pytest.raises(ConfigurationError, match="no such file"):
        read_config("dev")
    config.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_config("dev")


def test_reports_a_profile_without_login_or_in_conflict_with_its_session(config: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[default\]: sso_session is missing"):
        read_config()
    with pytest.raises(ConfigurationError, match="profiles default, of-dev, older"):
        read_config(profile="missing")
    config.write_text(WHOLE.replace("sso_account_id", "sso_region = us-east-1\nsso_account_id"))
    with pytest.raises(ConfigurationError, match=r"of-dev\]: sso_region differs from"):
        read_config(profile="of-dev")
    with pytest.raises(ConfigurationError, match="one of them"):
        read_config("dev", profile="of-dev")
