"""Whether a gateway is ready, according to its providers, its store and its certificate."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .gateway_provider import GatewayProvider
from .runtime import Runtime

if TYPE_CHECKING:
    from grantway_plugins.gateway._connections.token_check import TokenHealth
    from grantway_plugins.resource import IssuerStatus
    from grantway_plugins.server._tls.certificate import ServerCertificate

#: Health of the parts of a gateway, as JSON, without secrets.
Found = Mapping[str, Any]
#: Member with the time of a provider's last outcome, which is not shown.
_LAST = "last"
#: Statuses from good to bad.
_STATUSES = ("ok", "degraded", "failing")
#: Members of a provider that several processes add up.
_ADDED = ("in_flight", "waiting")


async def health_of(runtime: Runtime) -> Found:
    """Return the health of the providers, the store, the certificate and so on."""
    found: dict[str, Any] = {
        "providers": {name: _provider_health(each) for name, each in runtime.providers.items()},
        "store": await _store_health(runtime),
    }
    if runtime.inbound is not None:
        found["inbound"] = _inbound_health(runtime.inbound.status())
    if runtime.connections is not None:
        found["connections"] = _token_health(await runtime.connections.token_check.health())
    if runtime.certificate is not None:
        found["certificate"] = _certificate_health(runtime.certificate)
    return found


def combined(found: Iterable[Found]) -> Found:
    """Return the health of several processes with the same configuration.

    A process that has not discovered a provider decides about the provider, and otherwise the one
    with the last outcome. The worst status decides about each other part.
    """

    def decides(provider: dict[str, Any]) -> tuple[bool, float]:
        return not provider["discovered"], provider[_LAST]

    def badness(part: dict[str, Any]) -> int:
        return _STATUSES.index(part["status"])

    providers: dict[str, dict[str, Any]] = {}
    parts: dict[str, dict[str, Any]] = {}
    for each in found:
        for name, new in each["providers"].items():
            if name not in providers:
                providers[name] = new
                continue
            known = providers[name]
            deciding: dict[str, Any] = max(known, new, key=decides)
            added = {member: known[member] + new[member] for member in _ADDED}
            providers[name] = {**deciding, **added}
        for name in each.keys() - {"providers"}:
            part: dict[str, Any] = each[name]
            parts[name] = max(parts.get(name, part), part, key=badness)
    return {"providers": providers, **parts}


def readiness(
    found: Found, rule: str, *, stopping: bool, processes: tuple[int, int] = (1, 1)
) -> dict[str, Any]:
    """Return the members of ``/readyz``.

    Args:
        found: The health of the parts.
        rule: ``any`` or ``all``: the setting ``ready``.
        stopping: Whether the gateway is shutting down.
        processes: Number of processes that handle requests, and their intended number.
    """
    providers = {
        name: {key: value for key, value in each.items() if key != _LAST}
        for name, each in found.get("providers", {}).items()
    }
    parts = {name: each for name, each in found.items() if name != "providers"}
    bad = [name for name, each in providers.items() if each["status"] == "failing"]
    statuses = {each["status"] for each in parts.values()}
    needed = {parts.get(name, {}).get("status") for name in ("store", "inbound")}
    running, intended = processes
    degraded = bool(bad) or not statuses <= {"ok"} or running < intended
    enough = (
        running > 0
        and (not bad or (rule == "any" and len(bad) < len(providers)))
        and "failing" not in needed
        and not ("degraded" in needed and rule == "all")
        # By default, users whose tokens cannot be read must be able to connect again.
        and not (rule == "all" and parts.get("connections", {}).get("status") == "failing")
    )
    return {
        "ready": enough and not stopping,
        "status": "stopping" if stopping else "degraded" if degraded else "ok",
        "providers": providers,
        **parts,
    }


async def _store_health(runtime: Runtime) -> dict[str, Any]:
    """Return the health of the store; ``degraded`` if only tokens in memory are available."""
    watch = runtime.store_watch
    health = None if watch is None else await watch.health()
    if health is None or not health.error:
        return {"status": "ok"}
    served = await asyncio.to_thread(runtime.serves_from_memory)
    return {
        "status": "degraded" if served else "failing",
        "error": health.error,
        "error_description": health.message,
        "since": math.floor(health.since),
    }


def _inbound_health(issuers: Mapping[str, IssuerStatus]) -> dict[str, Any]:
    """Return the health of the callers' issuers; ``failing`` if none of them is available."""
    available = [each.available for each in issuers.values()]
    status = "ok" if all(available) else "degraded" if any(available) else "failing"
    return {"status": status, "issuers": {name: _issuer(each) for name, each in issuers.items()}}


def _issuer(status: IssuerStatus) -> dict[str, Any]:
    members: dict[str, Any] = {"status": "ok" if status.available else "failing"}
    if status.problem:
        members |= {"error_description": status.problem, "since": math.floor(status.since)}
    return members


def _token_health(tokens: TokenHealth) -> dict[str, Any]:
    """Return the health of the stored tokens of users; ``failing`` if none can be decrypted."""
    if not tokens.unreadable:
        return {"status": tokens.status}
    return {
        "status": tokens.status,
        "checked": tokens.checked,
        "unreadable": tokens.unreadable,
        "error_description": tokens.problem,
    }


def _certificate_health(certificate: ServerCertificate) -> dict[str, Any]:
    """Return the health of the certificate; ``degraded`` if it expired or was not replaced."""
    expired = certificate.not_after <= time.time()
    members: dict[str, Any] = {
        "status": "degraded" if expired or certificate.problem else "ok",
        "expires": math.floor(certificate.not_after),
    }
    if certificate.problem:
        members["error_description"] = certificate.problem
    return members


def _provider_health(provider: GatewayProvider) -> dict[str, Any]:
    """Return the health of a provider, without any text received from it."""
    health, protection = provider.health.health, provider.protection.state()
    failing = provider.found is None or health.failing or protection.breaker == "open"
    members: dict[str, Any] = {
        "status": "failing" if failing else "ok",
        _LAST: health.last,
        "discovered": provider.found is not None,
        "error": health.code or None,
        "since": math.floor(health.since),
        "breaker": protection.breaker,
        "breaker_why": protection.why or None,
        "in_flight": protection.in_flight,
        "waiting": protection.waiting,
    }
    if protection.until is not None:
        members["asked_again_in"] = round(max(0.0, protection.until - time.time()), 1)
    return members
