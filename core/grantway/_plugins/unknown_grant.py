"""The error for a grant_type that no plugin registered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from grantway._exceptions import UnknownGrantTypeError
from grantway._types.plugin_status import PluginStatus


def unknown_grant(
    grant_type: object, registered: Iterable[str], plugins: Iterable[PluginStatus]
) -> UnknownGrantTypeError:
    """Return the error, which suggests the closest name and lists plugins that are not loaded.

    Args:
        grant_type: The argument of the caller.
        registered: The registered grant types.
        plugins: The status of each plugin.
    """
    known = sorted(registered)
    nearest, shown = None, type(grant_type).__name__
    if isinstance(grant_type, str):
        nearest, shown = _nearest(grant_type, known), f"{grant_type!r:.200}"
    hint = f" Did you mean {nearest!r}?" if nearest else ""
    missing = [f"{each.path} ({each.state})" for each in plugins if each.state != "loaded"]
    unloaded = f" Plugins that are not loaded: {', '.join(missing)}." if missing else ""
    return UnknownGrantTypeError(
        f"grant_type: {shown} is not registered; nothing was sent.{hint} "
        f"Registered: {', '.join(known) or 'none'}.{unloaded}",
        registered=known,
        nearest=nearest,
    )


def _nearest(asked: str, known: Sequence[str]) -> str | None:
    """Return the closest registered name; a URN also matches by its last part."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error

    short = {name.rsplit(":", 1)[-1]: name for name in known}
    short.update({name: name for name in known})
    close = get_close_matches(asked.rsplit(":", 1)[-1].lower(), short, n=1, cutoff=0.5)
    return short[close[0]] if close else None
