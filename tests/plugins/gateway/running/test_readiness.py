"""Readiness of a gateway with one process or several."""

from __future__ import annotations

from typing import Any

import pytest

from grantway_plugins.gateway._running.readiness import combined, readiness


def provider(status: str = "ok", last: float = 0.0, **members: Any) -> dict[str, Any]:
    usual = {"discovered": True, "in_flight": 1, "waiting": 2}
    return {"status": status, "last": last, **usual, **members}


def health(idp: dict[str, Any], store: str = "ok", **parts: Any) -> dict[str, Any]:
    return {"providers": {"idp": idp}, "store": {"status": store}, **parts}


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (provider("failing", 1.0), provider("ok", 2.0), "ok"),
        (provider("failing", 3.0), provider("ok", 2.0), "failing"),
        (provider("ok", 3.0), provider("failing", 2.0), "ok"),
        # The requests of the second process get no tokens.
        (provider("ok", 3.0), provider("failing", 0.0, discovered=False), "failing"),
    ],
)
def test_the_last_outcome_of_a_provider_decides(
    first: dict[str, Any], second: dict[str, Any], status: str
) -> None:
    found = combined([health(first), health(second)])
    assert found["providers"]["idp"]["status"] == status
    assert (found["providers"]["idp"]["in_flight"], found["providers"]["idp"]["waiting"]) == (2, 4)
    members = readiness(found, "any", stopping=False, processes=(2, 2))
    assert members["ready"] is (status == "ok")
    assert "last" not in members["providers"]["idp"]


def test_the_worst_status_of_each_other_part_decides() -> None:
    certificate = {"status": "degraded", "expires": 1}
    found = combined(
        [
            health(provider(), "degraded", certificate={"status": "ok", "expires": 2}),
            health(provider(), "failing", certificate=certificate),
            health(provider(), "ok", certificate={"status": "ok", "expires": 2}),
        ]
    )
    assert found["store"] == {"status": "failing"}
    assert found["certificate"] == certificate


@pytest.mark.parametrize(
    ("running", "ready", "status"), [(2, True, "ok"), (1, True, "degraded"), (0, False, "degraded")]
)
def test_a_missing_process_degrades_and_none_is_not_ready(
    running: int, ready: bool, status: str
) -> None:
    found = combined([health(provider())] * running)
    members = readiness(found, "all", stopping=False, processes=(running, 2))
    assert (members["ready"], members["status"]) == (ready, status)
