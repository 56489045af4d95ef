"""Find problems of an installation and say how to fix them, without changing anything."""

from __future__ import annotations

import email.utils
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from grantway._exceptions import ConfigurationError, GrantwayError, RegistryError
from grantway._plugins.default_registry import default_registry
from grantway._plugins.selection import VARIABLE
from grantway._requests.provider import Provider
from grantway._transport.deadline import Deadline
from grantway._transport.http import HttpRequest, HttpResponse, Transport, require_secure
from grantway_plugins._paths import require_writable
from grantway_plugins.profiles._paths import config_path
from grantway_plugins.stores.file._format import INSTEAD, default_folder

_ENDPOINTS = ("AWS_ENDPOINT_URL_SSO_OIDC", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_EXTRA = re.compile(r"^([A-Za-z0-9._-]+).*extra == ['\"](\w+)['\"]")
#: The extras that a user may be missing; the others are for grantway's own development.
_EXTRAS = ("cli", "issuer", "jose", "telemetry")
#: Seconds that a clock may be wrong before a provider minds.
_SKEW = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: ``problem``, something does not work; ``note``, worth knowing; ``ok``.
        about: What was looked at.
        found: What was found.
        remedy: What to do about it; empty where there is nothing to do.
    """

    level: Literal["problem", "note", "ok"]
    about: str
    found: str
    remedy: str = ""


def findings(provider: str | None = None) -> Iterator[Finding]:
    """Look at everything.

    Args:
        provider: A provider's address to ask as well; None sends nothing anywhere.
    """
    yield from plugins()
    yield from extras()
    yield from database()
    yield from folders()
    yield from environment()
    yield from aws()
    yield from clock()
    if provider is not None:
        yield from reachable(provider)


def plugins() -> Iterator[Finding]:
    """Whether every plugin is loaded, and every name has one owner."""
    try:
        registry = default_registry()
    except RegistryError as error:
        remedy = f"Correct {VARIABLE}." if VARIABLE in str(error) else "Uninstall what it names."
        yield Finding("problem", "plugins", str(error), remedy)
        return
    remedies = {
        "failed": "Correct or uninstall {owner}; until then {variable}=-{path} leaves it out.",
        "incompatible": "Install a version that fits, or uninstall {owner}.",
        "blocked": "Wanted? Then take it off the list: {variable}={value}.",
    }
    for each in registry.plugins:
        if each.state != "loaded":
            remedy = remedies[each.state].format(
                owner=each.distribution or each.owner,
                path=each.path,
                variable=VARIABLE,
                value=os.environ.get(VARIABLE, ""),
            )
            level: Literal["note", "problem"] = "note" if each.state == "blocked" else "problem"
            found = f"{each.state}: {each.reason}"
            yield Finding(level, f"plugin {each.path} ({each.owner})", found, remedy)
    loaded = sum(each.state == "loaded" for each in registry.plugins)
    yield Finding(
        "ok" if registry.grants else "problem",
        "plugins",
        f"{loaded} of {len(registry.plugins)} are loaded, with {len(registry.grants)} grants",
        "" if registry.grants else "Reinstall grantway, or let GRANTWAY_PLUGINS name grantway.",
    )


def extras() -> Iterator[Finding]:
    """Whether the libraries of each extra are installed."""
    needs: dict[str, list[str]] = {extra: [] for extra in _EXTRAS}
    for line in metadata.requires("grantway") or ():
        if (found := _EXTRA.match(line)) and found[2] in needs:
            needs[found[2]].append(found[1])
    for extra, libraries in needs.items():
        missing = [library for library in libraries if not _is_installed(library)]
        if missing:
            remedy = f"For what needs it: pip install 'grantway[{extra}]'."
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
    """Whether the issuer can keep its database, and nobody else can read it."""
    try:
        from grantway_plugins.issuer._storage.database import (  # noqa: PLC0415 - an extra
            default_path,
        )

        path = default_path()
    except ModuleNotFoundError as missing:
        yield Finding("note", "issuer's database", f"not looked at: {missing.name} is missing")
        return
    except ConfigurationError as error:
        yield _unusable("issuer's database", error)
        return
    about = f"issuer's database {path}"
    there = path if path.exists() else path.parent
    if there.exists() and not os.access(there, os.W_OK if there == path else os.W_OK | os.X_OK):
        remedy = f"Run chmod u+rwx {there}, or choose another place with --database."
        yield Finding("problem", about, f"{there} cannot be written by this user", remedy)
    elif exposed := _exposed(path):
        yield Finding(
            "problem",
            about,
            f"others on this machine can read {exposed}",
            f"Run chmod go= {exposed}",
        )
    else:
        yield Finding("ok", about, "can be used" if there == path else "will be made")


def folders() -> Iterator[Finding]:
    """Whether profiles and tokens have a place."""
    try:
        yield Finding("ok", "profiles", config_path())
    except ConfigurationError as error:
        yield _unusable("profiles", error)
    try:
        where = require_writable(default_folder(), "state", INSTEAD)
        yield Finding("ok", "folder of tokens", where)
    except ConfigurationError as error:
        yield _unusable("folder of tokens", error)


def _unusable(about: str, error: ConfigurationError) -> Finding:
    """Report a folder that cannot be used; the error states the problem and then the remedy."""
    problem = next(iter(error.errors.values()))[0]
    return Finding("problem", about, problem, str(error).removeprefix(f"{problem}. "))


def _exposed(path: Path) -> Path | None:
    others = stat.S_IRWXG | stat.S_IRWXO
    if os.name == "posix" and path.exists() and path.stat().st_mode & others:
        return path
    return None


def environment() -> Iterator[Finding]:
    """Which proxies and certificates the environment sets, and whether they can be used."""
    from grantway._transport.network import (  # noqa: PLC0415 - slow to load
        CA_VARIABLES,
        PROXY_VARIABLES,
        Network,
    )

    try:
        network = Network()
    except ConfigurationError as error:
        name, rules = next(iter(error.errors.items()))
        yield Finding("problem", name, rules[0], f"Correct it, or run: unset {name}")
        return
    if network.trusted is not None:
        found = f"connections trust the certificates of {network.trusted}"
        yield Finding("ok", network.trusted_by, found)
    for name in CA_VARIABLES:
        if os.environ.get(name) not in {None, "", network.trusted}:
            yield Finding("note", name, f"is not used, because {network.trusted_by} is set too")
    for name in PROXY_VARIABLES:
        scheme = "http" if name == "HTTP_PROXY" else "https"
        proxy = network.proxy_for(f"{scheme}://login.example.invalid/")
        if proxy is not None and proxy.setting.upper() == name:
            yield Finding("ok", proxy.setting, f"connections go through the proxy {proxy.shown}")


def aws() -> Iterator[Finding]:
    """Whether AWS's variables lead the drop-in where they should."""
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
        f"For AWS itself run: unset {endpoint}",
    )
    if not any(os.environ.get(name) for name in _REGIONS):
        remedy = "Run: export AWS_REGION=eu-west-1 (any region will do for the embedded issuer)"
        yield Finding("note", "AWS_REGION", "is not set, and AWS's clients want a region", remedy)


def clock() -> Iterator[Finding]:
    """Whether the clock is before the time when grantway was installed."""
    installed = Path(__file__).stat().st_mtime
    now = time.time()
    if now < installed - _SKEW:
        shown = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now))
        yield Finding(
            "problem",
            "clock",
            f"it says {shown} UTC, which is before grantway was installed",
            "Set it, for example with: timedatectl set-ntp true",
        )
    else:
        yield Finding("ok", "clock", "plausible; with --provider it is compared")


class _Dated:
    """Sends through another transport and keeps the time that the server said."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.behind: float | None = None

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        response = self._transport.send(request, deadline)
        said = response.headers.get("date")
        if said is not None:
            try:
                self.behind = email.utils.parsedate_to_datetime(said).timestamp() - time.time()
            except ValueError:
                self.behind = None
        return response

    def close(self) -> None:
        self._transport.close()


def reachable(issuer: str) -> Iterator[Finding]:
    """Whether a provider answers, and its clock agrees with this one."""
    from grantway._transport.transport import (  # noqa: PLC0415 - only where it is asked for
        RequestsTransport,
    )

    about = f"provider {issuer}"
    try:
        transport = _Dated(RequestsTransport())
    except ConfigurationError as error:
        yield Finding("problem", about, f"was not asked: {error}")
        return
    try:
        found = Provider.discover(issuer, transport=transport)
    except GrantwayError as error:
        remedy = (
            "Check the address. Behind a proxy, set HTTPS_PROXY; if the provider's certificate "
            "comes from a private authority, set SSL_CERT_FILE. In a profile or a gateway's file "
            "these are proxy and ca_bundle."
        )
        yield Finding("problem", about, f"{type(error).__name__}: {error}", remedy)
    else:
        yield Finding("ok", about, f"answers; tokens come from {found.token_endpoint}")
    finally:
        transport.close()
    if transport.behind is not None and abs(transport.behind) > _SKEW:
        side = "behind" if transport.behind > 0 else "ahead of"
        yield Finding(
            "problem",
            "clock",
            f"it is {abs(transport.behind):.0f} seconds {side} the provider's, so signed proofs "
            "will be refused",
            "Set it, for example with: timedatectl set-ntp true",
        )
