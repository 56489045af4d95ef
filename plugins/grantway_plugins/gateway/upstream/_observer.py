"""Observers of forwarded requests, such as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ._route import Route

#: ``injected``: forwarded with a token. ``again``: forwarded a second time, with another token.
#: ``rejected``: the upstream rejected the token. ``kept``: forwarded with the caller's credentials.
#: ``open``: no token, forwarded without one. ``closed``: no token, not forwarded. ``refused``: an
#: invalid request, not forwarded.
Outcome = Literal["injected", "again", "rejected", "kept", "open", "closed", "refused"]


class Observer(Protocol):
    """Called for each request that has a route. Methods must return quickly and not raise.

    ``route.name`` and ``route.provider`` have few values and may be labels; tenants are not passed.
    """

    def hit(self, route: Route) -> None:
        """Count a request whose token was available at once."""
        ...

    def waited(self, route: Route, seconds: float) -> None:
        """Count a request that waited for a token, successfully or not."""
        ...

    def injected(self, route: Route, outcome: Outcome) -> None:
        """Count the outcome of a request; a request that is sent twice has two outcomes."""
        ...
