"""Who is told what became of requests: metrics, as a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ._route import Route

#: ``injected``: forwarded with a token. ``again``: forwarded a second time, with another token.
#: ``rejected``: the token was refused upstream. ``kept``: forwarded with what the sender sent.
#: ``open``: forwarded without a token, for there was none. ``closed``: not forwarded, for there
#: was none. ``refused``: not forwarded, by the sender's fault.
Outcome = Literal["injected", "again", "rejected", "kept", "open", "closed", "refused"]


class Observer(Protocol):
    """Is told of each request that has a route. Must return at once, and raise nothing.

    ``route.name`` and ``route.provider`` are few and may be labels; tenants are not told.
    """

    def hit(self, route: Route) -> None:
        """A token was at hand."""
        ...

    def waited(self, route: Route, seconds: float) -> None:
        """A token was not at hand, and was waited for, in vain or not."""
        ...

    def injected(self, route: Route, outcome: Outcome) -> None:
        """What became of a request. One that is sent twice is told of as each of its steps."""
        ...
