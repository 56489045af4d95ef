"""What became of one plugin: loaded, or why not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

#: What owns a plugin that no distribution brought.
APPLICATION = "application"


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """What became of one plugin.

    Attributes:
        name: The entry point's name, or the one that the application gave.
        distribution: The distribution that brought it; empty for the application's own.
        version: That distribution's version.
        source: ``module`` or ``module:object`` that it was, or would have been, loaded from.
        state: ``loaded``; ``failed``, it is broken or in conflict; ``blocked``, the host does not
            want it; ``incompatible``, it was made for another version of the hooks.
        reason: Why it is not loaded, and how to fix that. For a loaded one, what is worth
            knowing: usually nothing.
    """

    name: str
    distribution: str = ""
    version: str = ""
    source: str = ""
    state: Literal["loaded", "failed", "blocked", "incompatible"] = "loaded"
    reason: str = ""

    @property
    def owner(self) -> str:
        """Distribution and version, like ``acme-coupons 1.2``, or ``application``."""
        return f"{self.distribution} {self.version}".strip() or APPLICATION

    @property
    def path(self) -> str:
        """``distribution/name``: two distributions may use one name."""
        return f"{self.distribution or APPLICATION}/{self.name}"

    @property
    def named(self) -> str:
        """Name and owner, like ``coupon of acme-coupons 1.2``, for sentences."""
        return f"{self.name} of {self.owner}"

    def goes_by(self, name: str) -> bool:
        """Whether a name means this plugin: its own, its distribution's, or its path."""
        return name == self.name or normal(name) in {
            normal(self.distribution or APPLICATION),
            normal(self.path),
        }


def source_of(plugin: object) -> str:
    """Return what names a plugin that was given as an object, without running its code."""
    return plugin.__name__ if isinstance(plugin, (ModuleType, type)) else type(plugin).__name__


def normal(name: str) -> str:
    """A distribution's name as the packaging specifications compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
