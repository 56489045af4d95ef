"""Profiles: logins and clients that are described in a TOML file, by name.

::

    from grantway_plugins import profiles

    with profiles.load("work") as profile:
        token = profile.token()
"""

# Type checkers know the name; ``grantway token`` has no time to import ``typing`` for it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .file import ProfileFile
    from .profile import Profile, load

__all__ = ["Profile", "ProfileFile", "load"]

_HOMES = {"Profile": "profile", "ProfileFile": "file", "load": "profile"}


def __getattr__(name: str) -> "Any":
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
