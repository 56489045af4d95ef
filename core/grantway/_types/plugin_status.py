"""The status of a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Literal

from grantway._processes.copies import Value

#: The owner of a plugin without a distribution.
APPLICATION = "application"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PluginStatus(Value):
    """The status of a plugin.

    Attributes:
        name: The name of the entry point, or the name that the application chose.
        distribution: The distribution of the plugin; empty for plugins of the application.
        version: The version of the distribution.
        source: ``module`` or ``module:object`` of the plugin.
        state: ``loaded``; ``failed``, it raised an error or broke a rule; ``blocked``, the
            application excluded it; ``incompatible``, it requires another version of grantway.
        reason: Why the plugin is not loaded and how to fix it. For a loaded plugin, a note or
            empty.
        conflicts: For each name that the plugin lost to another one, the reason and how to fix it.
            The rest of a loaded plugin is used.
        hooks: The hooks that the plugin implements. Like the following, ignored by comparisons.
        contributions: Kind, such as ``grant``, ``middleware`` or ``observer`` -> names of what the
            plugin registered.
        failed_at: File and line of the plugin's code that failed, like ``/srv/acme/plugin.py:7``;
            empty if it did not fail or the line is unknown.
        load_seconds: How long importing the plugin and calling its hooks took. The first plugin
            that imports a library is charged for it.
    """

    name: str
    distribution: str = ""
    version: str = ""
    source: str = ""
    state: Literal["loaded", "failed", "blocked", "incompatible"] = "loaded"
    reason: str = ""
    conflicts: tuple[str, ...] = ()
    hooks: tuple[str, ...] = field(default=(), compare=False)
    contributions: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({}), compare=False
    )
    failed_at: str = field(default="", compare=False)
    load_seconds: float = field(default=0.0, compare=False)

    @property
    def owner(self) -> str:
        """The distribution and version, like ``acme-coupons 1.2``, or ``application``."""
        return f"{self.distribution} {self.version}".strip() or APPLICATION

    @property
    def path(self) -> str:
        """``distribution/name``, which is unique."""
        return f"{self.distribution or APPLICATION}/{self.name}"

    @property
    def named(self) -> str:
        """The name and owner, like ``coupon of acme-coupons 1.2``, for messages."""
        return f"{self.name} of {self.owner}"

    def goes_by(self, name: str) -> bool:
        """Return whether a name is the plugin's name, distribution or path."""
        return name == self.name or normal(name) in {
            normal(self.distribution or APPLICATION),
            normal(self.path),
        }


def source_of(plugin: object) -> str:
    """Return the name of a plugin object, without running its code."""
    return plugin.__name__ if isinstance(plugin, (ModuleType, type)) else type(plugin).__name__


def normal(name: str) -> str:
    """Return the normalised name of a distribution (PEP 503)."""
    # Every start normalises the names of all distributions, and `re.sub` takes four times as long.
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name
