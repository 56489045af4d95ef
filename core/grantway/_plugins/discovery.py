"""Discover installed plugins without importing them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple

from grantway import __version__, hookspecs
from grantway._types.plugin_status import PluginStatus

from .entry_points import EntryPoint, about, distributions, load_object, parse
from .requirements import unmet_requirement

#: Plugins of the same name that a message lists.
_SHOWN = 3
_GROUP = re.compile(r"grantway\.v\d+")


class Found(NamedTuple):
    """An installed plugin or command.

    Attributes:
        status: The status; ``loaded`` means that no problem is known yet.
        load: Imports the plugin or command.
    """

    status: PluginStatus
    load: Callable[[], object]


class _Owner(NamedTuple):
    """The distribution of plugins or commands, and its state, which all of them have."""

    distribution: str
    version: str
    state: Literal["loaded", "incompatible"] = "loaded"
    reason: str = ""

    def status(
        self,
        name: str,
        source: str = "",
        state: Literal["failed", "incompatible"] | None = None,
        reason: str = "",
    ) -> PluginStatus:
        """Return the status of a plugin; its own state precedes that of the distribution."""
        return PluginStatus(
            name,
            self.distribution,
            self.version,
            source,
            state or self.state,
            reason if state else self.reason,
        )


def installed() -> list[Found]:
    """Return all installed plugins, sorted by distribution and name for stable output.

    Unreadable metadata of one distribution does not affect the others.
    """
    return _with_namesakes(_found("[grantway.v", _of))


def commands() -> list[Found]:
    """Return the installed commands of the command line, sorted like plugins."""
    group = hookspecs.COMMAND_GROUP
    return _found(f"[{group}]", lambda owner, text: _in_group(owner, parse(text), group))


def _found(mark: str, found_in: Callable[[_Owner, str], Iterable[Found]]) -> list[Found]:
    """Return what is found in each ``entry_points.txt`` that contains ``mark``."""
    found: list[Found] = []
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt")
        except (OSError, UnicodeDecodeError):
            continue  # not known to be a plugin
        if text is None or mark not in text:
            continue
        name, version, requires = about(distribution)
        owner = _Owner(name, version)
        if unmet := unmet_requirement(requires):
            owner = _Owner(name, version, "incompatible", _remedy(unmet, name))
        try:
            found += found_in(owner, text)
        except ValueError as error:
            reason = f"its entry_points.txt cannot be read: {error}"
            found.append(Found(owner.status("?", "", "failed", reason), _nothing))
    found.sort(key=lambda each: (each.status.distribution, each.status.name, each.status.source))
    return found


def _in_group(owner: _Owner, points: Sequence[EntryPoint], group: str) -> Iterator[Found]:
    """Yield the entry points of a group. Those with the same name fail."""
    sources: dict[str, dict[str, None]] = {}
    for point in points:
        if point.group == group:
            sources.setdefault(point.name, {})[point.value] = None
    for name, same in sources.items():
        source = ", ".join(same)
        if len(same) == 1:
            status = owner.status(name, source)
        else:
            reason = (
                f"{owner.status(name).owner} has duplicate entry points {name} in {group}: "
                f"{' and '.join(same)}; rename one of them"
            )
            status = owner.status(name, source, "failed", reason)
        yield Found(status, partial(load_object, source))


def _of(owner: _Owner, text: str) -> Iterator[Found]:
    points = [point for point in parse(text) if _GROUP.fullmatch(point.group)]
    ours = list(_in_group(owner, points, hookspecs.ENTRY_POINT_GROUP))
    yield from ours
    # A distribution may support several hook versions: ignore the others if ours is among them.
    for point in points if not ours else ():
        reason = (
            f"it is for {point.group}, but this grantway loads {hookspecs.ENTRY_POINT_GROUP}; "
            f"install a version of {owner.distribution} for {hookspecs.ENTRY_POINT_GROUP}, or "
            f"a grantway that loads {point.group}"
        )
        status = owner.status(point.name, point.value, "incompatible", reason)
        yield Found(status, _nothing)


def _remedy(requirement: str, distribution: str) -> str:
    return (
        f"it requires {requirement}, but this is grantway {__version__}; upgrade with "
        f"pip install '{requirement}', or install a version of {distribution} that supports "
        f"grantway {__version__}"
    )


def _nothing() -> object:
    return None


def _with_namesakes(found: list[Found]) -> list[Found]:
    """Note in the status if another distribution has a plugin of the same name; both are loaded."""
    owners: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for each in found:
        owners[each.status.name][each.status.distribution] = each.status.owner

    def with_note(each: Found) -> Found:
        namesakes = owners[each.status.name]
        if len(namesakes) == 1 or each.status.state != "loaded":
            return each
        others = (owner for other, owner in namesakes.items() if other != each.status.distribution)
        shown = [*islice(others, _SHOWN)]
        if more := len(namesakes) - 1 - len(shown):
            shown.append(f"{more} more")
        verb = "have" if shown[1:] else "has"
        reason = (
            f"{' and '.join(shown)} also {verb} a plugin named {each.status.name}; "
            f"this one is {each.status.path}"
        )
        return each._replace(status=replace(each.status, reason=reason))

    return [with_note(each) for each in found]
