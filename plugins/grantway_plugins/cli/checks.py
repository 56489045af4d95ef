"""Read-only checks of an installation, with a remedy for each problem."""

from __future__ import annotations

import email.utils
import os
import re
import stat
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from grantway._exceptions import (
    ConfigurationError,
    GrantwayError,
)
from grantway._requests.provider import Provider
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse, Transport, require_secure
from grantway_plugins._paths import (
    TOKEN_FOLDER_SETTING,
    config_path,
    require_writable,
    token_folder,
)

from .finding import Finding
from .plugin_checks import plugin_findings

_ENDPOINTS = ("AWS_ENDPOINT_URL_SSO_OIDC", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_EXTRA = re.compile(r"^([A-Za-z0-9._-]+).*extra == ['\"](\w+)['\"]")
#: Extras to check.
_EXTRAS = ("cli", "issuer", "jose", "operation", "telemetry")
#: Clock difference, in seconds, above which a provider may reject signed proofs.
_SKEW = 30.0


def findings(
    provider: str | None = None, profile: str | None = None, config: str | None = None
) -> Iterator[Finding]:
    """Run every check.

    Args:
        provider: Address of a provider to contact, or None.
        profile: Name of a profile whose provider and resources to contact, or None.
        config: Path given with ``--config``, or None.
    """
    yield from plugin_findings()
    yield from extras()
    yield from database()
    yield from folders()
    yield from environment()
    yield from aws()
    yield from clock()
    if provider is not None:
        yield from reachable(provider)
    if profile is not None:
        from .profile_checks import profile_findings  # noqa: PLC0415 - slow to load

        yield from profile_findings(profile, config)


def extras() -> Iterator[Finding]:
    """Check whether the libraries of each extra are installed."""
    needs: dict[str, list[str]] = {extra: [] for extra in _EXTRAS}
    for line in metadata.requires("grantway") or ():
        if (found := _EXTRA.match(line)) and found[2] in needs:
            needs[found[2]].append(found[1])
    for extra, libraries in needs.items():
        missing = [library for library in libraries if not _is_installed(library)]
        if missing:
            remedy = f"If you need it, run: pip install 'grantway[{extra}]'"
            yield Finding("note", f"extra {extra}", f"{', '.join(missing)} not installed", remedy)
        else:
            yield Finding("ok", f"extra {extra}", "installed")


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def database() -> Iterator[Finding]:
    """Check that the issuer's database is writable, and that other users cannot read it."""
    try:
        from grantway_plugins.issuer._storage.database import (  # noqa: PLC0415 - an extra
            default_path,
        )

        path = default_path()
    except ModuleNotFoundError as missing:
        yield Finding("note", "issuer's database", f"not checked: {missing.name} is not installed")
        return
    except ConfigurationError as error:
        yield _unusable("issuer's database", error)
        return
    about = f"issuer's database {path}"
    there = path if path.exists() else path.parent
    if there.exists() and not os.access(there, os.W_OK if there == path else os.W_OK | os.X_OK):
        remedy = f"Run chmod u+rwx {there}, or choose another file with --database."
        yield Finding("problem", about, f"this user cannot write to {there}", remedy)
    elif exposed := _exposed(path):
        yield Finding(
            "problem",
            about,
            f"other users of this machine can read {exposed}",
            f"Run chmod go= {exposed}",
        )
    else:
        yield Finding("ok", about, "usable" if there == path else "will be created when needed")


def folders() -> Iterator[Finding]:
    """Check the profile file's path and the folder of stored tokens."""
    try:
        yield Finding("ok", "profiles", config_path())
    except ConfigurationError as error:
        yield _unusable("profiles", error)
    try:
        where = require_writable(token_folder(), "state", TOKEN_FOLDER_SETTING)
        yield Finding("ok", "token folder", where)
    except ConfigurationError as error:
        yield _unusable("token folder", error)


def _unusable(about: str, error: ConfigurationError) -> Finding:
    """Return a finding for an unusable folder. The error states the problem, then the remedy."""
    problem = next(iter(error.errors.values()))[0]
    return Finding("problem", about, problem, str(error).removeprefix(f"{problem}. "))


def _exposed(path: Path) -> Path | None:
    others = stat.S_IRWXG | stat.S_IRWXO
    if os.name == "posix" and path.exists() and path.stat().st_mode & others:
        return path
    return None


def environment() -> Iterator[Finding]:
    """Check the proxies and certificates that the environment sets."""
    from grantway._transport.network import CA_VARIABLES, Network  # noqa: PLC0415 - slow to load
    from grantway._transport.proxies import PROXY_VARIABLES  # noqa: PLC0415

    try:
        network = Network()
    except ConfigurationError as error:
        name, rules = next(iter(error.errors.items()))
        yield Finding("problem", name, rules[0], f"Correct it, or run: unset {name}")
        return
    if network.trusted is not None:
        found = f"connections trust the certificates in {network.trusted}"
        yield Finding("ok", network.trusted_by, found)
    for name in CA_VARIABLES:
        if os.environ.get(name) not in {None, "", network.trusted}:
            yield Finding("note", name, f"ignored, because {network.trusted_by} is set too")
    for name in PROXY_VARIABLES:
        scheme = "http" if name == "HTTP_PROXY" else "https"
        proxy = network.proxy_for(f"{scheme}://login.example.invalid/")
        if proxy is not None and proxy.setting.upper() == name:
            yield Finding("ok", proxy.setting, f"connections use the proxy {proxy.shown}")


def aws() -> Iterator[Finding]:
    """Check the AWS endpoint and region variables that the drop-in client reads."""
    endpoint = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if endpoint is None:
        return
    try:
        host = require_secure(os.environ[endpoint], endpoint)
    except ConfigurationError as error:
        remedy = f"Correct it, or run: unset {endpoint}"
        yield Finding("problem", endpoint, str(error).removeprefix(f"{endpoint}: "), remedy)
        return
    yield Finding(
        "note",
        endpoint,
        f"sends sso_oidc.client() and AWS's own clients to {host}",
        f"To use AWS itself, run: unset {endpoint}",
    )
    if not any(os.environ.get(name) for name in _REGIONS):
        remedy = "Run: export AWS_REGION=eu-west-1 (the embedded issuer accepts any region)"
        yield Finding("note", "AWS_REGION", "not set, but AWS's clients require a region", remedy)


def clock() -> Iterator[Finding]:
    """Check that the clock is not earlier than the installation of grantway."""
    installed = Path(__file__).stat().st_mtime
    now = time.time()
    if now < installed - _SKEW:
        shown = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now))
        yield Finding(
            "problem",
            "clock",
            f"{shown} UTC is earlier than the installation of grantway",
            "Set the clock, for example with: timedatectl set-ntp true",
        )
    else:
        yield Finding("ok", "clock", "plausible; to compare it with a provider's, use --provider")


class _ClockTransport:
    """Sends through another transport, and compares the server's ``Date`` with this clock.

    Attributes:
        behind: Seconds by which this clock is behind the server's; None if unknown.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.behind: float | None = None

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        response = self._transport.send(request, deadline)
        date = response.headers.get("date")
        if date is not None:
            try:
                self.behind = email.utils.parsedate_to_datetime(date).timestamp() - time.time()
            except ValueError:
                self.behind = None
        return response

    def close(self) -> None:
        self._transport.close()


def reachable(issuer: str) -> Iterator[Finding]:
    """Check that a provider publishes its endpoints, and compare its clock with this one."""
    from grantway._transport.transport import HttpTransport  # noqa: PLC0415 - slow to load

    about = f"provider {issuer}"
    try:
        transport = _ClockTransport(HttpTransport())
    except ConfigurationError as error:
        yield Finding("problem", about, f"not contacted: {error}")
        return
    try:
        found = Provider.discover(issuer, transport=transport)
    except GrantwayError as error:
        remedy = (
            "Check the address. Behind a proxy, set HTTPS_PROXY. If a private authority issued "
            "the provider's certificate, set SSL_CERT_FILE. The settings proxy and ca_bundle of a "
            "profile or a gateway file do the same."
        )
        yield Finding("problem", about, f"{type(error).__name__}: {error}", remedy)
    else:
        yield Finding("ok", about, f"reachable; its token endpoint is {found.token_endpoint}")
    finally:
        transport.close()
    if transport.behind is not None and abs(transport.behind) > _SKEW:
        side = "behind" if transport.behind > 0 else "ahead of"
        yield Finding(
            "problem",
            "clock",
            f"{abs(transport.behind):.0f} seconds {side} the provider's, so the provider will "
            "reject signed proofs",
            "Set the clock, for example with: timedatectl set-ntp true",
        )
