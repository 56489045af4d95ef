"""All scenarios, by section and name. The first line of each function's docstring is its title."""

from __future__ import annotations

from collections.abc import Mapping

from tests.benchmarks.mcp_faults import challenges, costs, documents, refreshing, sharing, storing
from tests.benchmarks.mcp_faults.bench import Scenario

SECTIONS: Mapping[str, tuple[Scenario, ...]] = {
    "A shared login": (
        sharing.tasks,
        sharing.processes,
        sharing.processes_same_host,
        sharing.machines,
        sharing.machines_same_host,
        sharing.fresh,
        sharing.fresh_same_host,
        sharing.slow_requests,
        sharing.stream,
    ),
    "A refresh fails": (
        refreshing.unavailable,
        refreshing.limited,
        refreshing.refused,
        refreshing.lost,
        refreshing.lost_in_window,
        storing.killed,
        storing.killed_in_window,
        storing.full_disk,
        storing.full_disk_then_restart,
        documents.hanging_refresh,
    ),
    "Responses and registrations": (
        refreshing.no_refresh_token,
        refreshing.no_scope,
        refreshing.no_lifetime,
        refreshing.deleted_client,
        refreshing.expired_registration,
        refreshing.clock_set_back,
    ),
    "The resource rejects a request": (
        challenges.revoked,
        challenges.step_up,
        challenges.step_up_after_restart,
        challenges.always_403,
        challenges.always_401,
        challenges.two_challenges,
        challenges.quoted_scope,
        challenges.without_token,
    ),
    "Metadata": (
        documents.other_resource,
        documents.trailing_slash,
        documents.large,
        documents.huge,
        documents.redirected,
        documents.moved,
        documents.without_metadata,
        documents.internal_metadata,
        documents.internal_issuer,
        documents.no_pkce,
        documents.other_iss,
        documents.no_iss,
        documents.new_issuer,
        documents.new_issuer_after_restart,
        documents.hanging,
    ),
    "Without a fault": (costs.first_login, costs.live_token),
}
SCENARIOS: Mapping[str, Scenario] = {
    each.__name__: each for scenarios in SECTIONS.values() for each in scenarios
}


def title_of(scenario: Scenario) -> str:
    """Return the title of a scenario."""
    return (scenario.__doc__ or "").partition("\n")[0].rstrip(".")
