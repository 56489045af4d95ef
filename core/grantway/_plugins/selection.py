"""The application's selection of installed plugins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from grantway._exceptions import RegistryError
from grantway._types.plugin_status import PluginStatus

#: The environment variable that selects plugins unless the program does.
VARIABLE = "GRANTWAY_PLUGINS"


class Selection(NamedTuple):
    """A selection of installed plugins.

    Attributes:
        setting: The argument or variable, for messages.
        only: The names to load; None means all that are not blocked.
        block: The names not to load.
    """

    setting: str = ""
    only: tuple[str, ...] | None = None
    block: tuple[str, ...] = ()

    @classmethod
    def of(cls, only: Iterable[str] | None, block: Iterable[str]) -> Selection:
        """Return the selection from the arguments or, without them, from the environment.

        Raises:
            RegistryError: both lists are given, or the environment variable is invalid.
        """
        chosen, blocked = None if only is None else names_of("only", only), names_of("block", block)
        if chosen is not None and blocked:
            raise RegistryError("only= and block= are both set; set only one of them.")
        if chosen is None and not blocked:
            return cls.parse(os.environ.get(VARIABLE, ""))
        return cls("only=" if blocked == () else "block=", chosen, blocked)

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Read the syntax of ``GRANTWAY_PLUGINS``.

        Args:
            text: Empty or ``all``; ``none``; names with commas, ``a,b``, for only these; or names
                with a minus, ``-a,-b``, for all but these.

        Raises:
            RegistryError: names with and without a minus are mixed.
        """
        names = [name for part in text.split(",") if (name := part.strip())]
        if names in ([], ["all"]):
            return cls(VARIABLE)
        if names == ["none"]:
            return cls(VARIABLE, only=())
        blocked = tuple(name[1:].strip() for name in names if name.startswith("-"))
        if not blocked:
            return cls(VARIABLE, only=tuple(names))
        if len(blocked) == len(names):
            return cls(VARIABLE, block=blocked)
        raise RegistryError(
            f"{VARIABLE}={text}: names with and without a minus are mixed. Write a,b to load only "
            "these, or -a,-b to load all but these."
        )

    def check(
        self, found: Sequence[PluginStatus], others: Callable[[], Sequence[PluginStatus]]
    ) -> None:
        """Reject unknown names.

        Args:
            found: The installed plugins, or the installed commands.
            others: Returns the others of the two. Called if a name is not in ``found``.

        Raises:
            RegistryError: a name is unknown. The message lists the installed plugins.
        """
        for name in (*(self.only or ()), *self.block):
            if any(plugin.goes_by(name) for plugin in found):
                continue
            more = others()
            if not any(plugin.goes_by(name) for plugin in more):
                known = ", ".join(sorted({plugin.path for plugin in (*found, *more)}))
                raise RegistryError(
                    f"{self.setting.rstrip('=')}: no installed plugin or distribution is named "
                    f"{name!r}. Installed: {known or 'none'}."
                )

    def why_not(self, plugin: PluginStatus) -> str:
        """Return the reason why a plugin is excluded; empty if it is selected."""
        if any(plugin.goes_by(name) for name in self.block):
            return f"blocked by {self.setting.rstrip('=')}"
        if self.only is not None and not any(plugin.goes_by(name) for name in self.only):
            return f"not listed in {self.setting.rstrip('=')}"
        return ""


def without(plugin: PluginStatus, name: str) -> str:
    """Return the value of ``GRANTWAY_PLUGINS`` that also excludes a plugin.

    Args:
        plugin: The plugin to exclude.
        name: The name to use for it.
    """
    names = [each for part in os.environ.get(VARIABLE, "").split(",") if (each := part.strip())]
    if all(each.startswith("-") for each in names) or names == ["all"]:
        kept = [] if names == ["all"] else names
        return ",".join([*kept, f"-{name}"])
    return ",".join(each for each in names if not plugin.goes_by(each)) or "none"


def names_of(argument: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return a list of names as a tuple.

    Raises:
        RegistryError: it is a string, which would be read as a list of letters.
    """
    if isinstance(given, str):
        raise RegistryError(f'{argument}: must be a list of names, like ["{given}"].')
    return tuple(given)
