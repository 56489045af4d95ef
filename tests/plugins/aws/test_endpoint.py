"""The endpoint of the service is the same as botocore's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.config import Config
from botocore.endpoint_provider import EndpointProvider
from botocore.loaders import Loader

from grantway._exceptions import ConfigurationError, InsecureEndpointError
from grantway_plugins import aws
from grantway_plugins.aws._config import regions
from grantway_plugins.aws._config.endpoint import endpoint_of
from grantway_plugins.aws._config.sso_config import read_config
from grantway_plugins.aws._login.session import SsoSession
from tests.aws_sessions import boto3_session

DATA = Path(botocore.__file__).parent / "data"
PARTITIONS = json.loads((DATA / "partitions.json").read_text(encoding="utf-8"))["partitions"]
REGIONS = [
    region
    for partition in PARTITIONS
    for region in partition["regions"]
    if not region.endswith("-global")
]
URL = "http://127.0.0.1:1"


@pytest.fixture(params=["with botocore", "without botocore"])
def _data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    regions.regions.cache_clear()
    if request.param == "without botocore":
        monkeypatch.setattr(regions, "find_spec", lambda _name: None)
    yield
    regions.regions.cache_clear()


def boto3_endpoint(region: str, **options: Any) -> str:
    """Return the address to which boto3 sends a request, which ``meta`` does not show."""
    client = boto3_session().client("sso-oidc", region_name=region, config=Config(**options))
    seen = client._resolve_endpoint_ruleset(
        client.meta.service_model.operation_model("RegisterClient"), {}, {}
    )
    return str(seen[0])


def test_our_list_of_regions_equals_botocores() -> None:
    theirs = {
        region: regions.Partition(
            outputs["name"],
            outputs["dnsSuffix"],
            outputs["dualStackDnsSuffix"],
            outputs["supportsFIPS"],
            outputs["supportsDualStack"],
        )
        for partition in PARTITIONS
        for outputs in [partition["outputs"]]
        for region in partition["regions"]
        if not region.endswith("-global")
    }
    assert dict(regions.SHIPPED) == theirs
    assert len(theirs) >= 46


@pytest.mark.usefixtures("_data")
@pytest.mark.parametrize("dual_stack", [False, True])
@pytest.mark.parametrize("fips", [False, True])
def test_every_region_has_the_endpoint_of_botocores_rules(fips: bool, dual_stack: bool) -> None:
    rules = EndpointProvider(
        Loader().load_service_model("sso-oidc", "endpoint-rule-set-1"), {"partitions": PARTITIONS}
    )
    for region in REGIONS:
        theirs = rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual_stack)
        assert endpoint_of(region, fips=fips, dual_stack=dual_stack) == theirs.url


def test_reads_the_list_without_importing_botocore() -> None:
    code = (
        "import sys\n"
        "from grantway_plugins.aws._config import regions\n"
        "print(len(regions.regions()), any(n.startswith('botocore') for n in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == [str(len(REGIONS)), "False"]


@pytest.mark.parametrize("text", ["{", "[]", '{"partitions": [{"regions": {}}]}', '{"other": 1}'])
def test_ignores_botocore_data_in_an_unknown_format(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "partitions.json").write_text(text, encoding="utf-8")

    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(regions, "find_spec", lambda _name: Spec)
    regions.regions.cache_clear()
    assert dict(regions.regions()) == dict(regions.SHIPPED)
    regions.regions.cache_clear()


@pytest.mark.parametrize(
    ("region", "meant"),
    [("eu-wst-1", "eu-west-1"), ("eusc-de-est-1", "eusc-de-east-1"), ("aws-global", "")],
)
def test_rejects_an_unknown_region(region: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        aws.client(region)
    assert all(text in str(caught.value) for text in (region, meant, "endpoint_url"))
    # The caller can give the endpoint instead.
    aws.client(region, URL).close()


def test_rejects_a_session_in_an_unknown_region(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[sso-session s]\nsso_start_url=https://x.awsapps.com/start\nsso_region=eu-wst-1\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigurationError, match=r"sso_region.*eu-west-1"):
        aws.sso_session("s", folder=tmp_path)


#: Environment and configuration file; botocore gives the expected result.
CONFIGURED: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({}, ""),
    "fips": ({"AWS_USE_FIPS_ENDPOINT": "true"}, ""),
    "fips in capitals": ({"AWS_USE_FIPS_ENDPOINT": "True"}, ""),
    "no fips": ({"AWS_USE_FIPS_ENDPOINT": "1"}, ""),
    "dual stack": ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, ""),
    "both": ({"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, ""),
    "fips of the profile": ({}, "[default]\nuse_fips_endpoint = true\n"),
    "the variable over the profile": (
        {"AWS_USE_FIPS_ENDPOINT": "false"},
        "[default]\nuse_fips_endpoint = true\n",
    ),
    "an empty variable over the profile": (
        {"AWS_USE_FIPS_ENDPOINT": ""},
        "[default]\nuse_fips_endpoint = true\n",
    ),
    "dual stack of a named profile": (
        {"AWS_PROFILE": "dev"},
        "[default]\n[profile dev]\nuse_dualstack_endpoint = true\n",
    ),
    "two variables for the profile": (
        {"AWS_PROFILE": "one", "AWS_DEFAULT_PROFILE": "two"},
        (
            "[profile one]\nendpoint_url = http://127.0.0.1:1\n"
            "[profile two]\nendpoint_url = http://127.0.0.1:2\n"
        ),
    ),
    "endpoint for all": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, ""),
    "endpoint for it": (
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_SSO_OIDC": URL + "2"},
        "",
    ),
    "an empty endpoint": ({"AWS_ENDPOINT_URL_SSO_OIDC": ""}, ""),
    "endpoint of the profile": ({}, "[default]\nendpoint_url = http://127.0.0.1:3\n"),
    "endpoint of its services": (
        {},
        (
            "[default]\nendpoint_url = http://127.0.0.1:3\nservices = local\n"
            "[services local]\nsso =\n  endpoint_url = http://127.0.0.1:4\n"
            "sso_oidc =\n  endpoint_url = http://127.0.0.1:5\n"
        ),
    ),
    "services without it": (
        {},
        (
            "[default]\nendpoint_url = http://127.0.0.1:3\nservices = local\n"
            "[services local]\nsso =\n  endpoint_url = http://127.0.0.1:4\n"
        ),
    ),
    "the variable for all over services": (
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        (
            "[default]\nservices = local\n"
            "[services local]\nsso_oidc =\n  endpoint_url = http://127.0.0.1:5\n"
        ),
    ),
    "ignored": (
        {"AWS_ENDPOINT_URL": URL, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        "[default]\nendpoint_url = http://127.0.0.1:3\n",
    ),
    "ignored by the profile": (
        {"AWS_ENDPOINT_URL": URL},
        "[default]\nignore_configured_endpoint_urls = true\n",
    ),
    "fips beside an endpoint": ({"AWS_ENDPOINT_URL": URL, "AWS_USE_FIPS_ENDPOINT": "true"}, ""),
}


@pytest.mark.parametrize("case", CONFIGURED)
def test_uses_the_configured_endpoint_like_boto3(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, file = CONFIGURED[case]
    (tmp_path / "config").write_text(file, encoding="utf-8")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = aws.client("us-east-2")
    assert client.meta.endpoint_url == boto3_endpoint("us-east-2")
    client.close()


def test_uses_the_region_of_the_profile_like_boto3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile dev]\nregion = eu-north-1\n", encoding="utf-8")
    (tmp_path / "credentials").write_text(
        "[dev]\naws_access_key_id = AKIA\naws_secret_access_key = very-secret\n"
        "region = eu-south-1\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("AWS_PROFILE", "dev")
    with aws.client() as client:
        assert client.meta.region_name == boto3_session().region_name == "eu-south-1"


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("[default]\nservices = local\n", r"\[services local\]"),
        ("[default\n", "line 1"),
    ],
)
def test_rejects_an_invalid_configuration(file: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(file, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=named):
        aws.client("us-east-2")


def test_rejects_a_missing_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(ConfigurationError, match="missing"):
        aws.client("us-east-2")


def test_needs_no_home_directory_if_the_environment_has_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nowhere/at/all")
    aws.client("us-east-2").close()


def test_a_session_uses_the_endpoint_of_its_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text(
        "[sso-session s]\nsso_start_url = https://x.awsapps.com/start\nsso_region = us-gov-west-1\n"
        "[profile dev]\nsso_session = s\nuse_dualstack_endpoint = true\n"
        "[profile local]\nsso_session = s\nservices = here\n"
        "[services here]\nsso_oidc =\n  endpoint_url = http://127.0.0.1:9\n",
        encoding="utf-8",
    )

    def host(**options: Any) -> str:
        session = SsoSession(read_config(path=file, **options), folder=tmp_path)
        session.close()
        return session.provider.host

    assert host(profile="dev") == "oidc.us-gov-west-1.api.aws"
    assert host(profile="local") == "127.0.0.1:9"
    assert host(name="s") == "oidc.us-gov-west-1.amazonaws.com"
    monkeypatch.setenv("AWS_PROFILE", "local")
    assert host(name="s") == "127.0.0.1:9"


def test_rejects_http_except_on_loopback() -> None:
    with pytest.raises(InsecureEndpointError):
        aws.client("us-east-1", use_ssl=False)
    with pytest.raises(InsecureEndpointError):
        aws.client("us-east-1", "http://oidc.us-east-1.amazonaws.com")
    aws.client("us-east-1", URL, use_ssl=False).close()
