"""Call the code of plugins, and name the plugin in the error if it fails."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, NoneType
from typing import TYPE_CHECKING, Any

from grantway._exceptions import PluginError
from grantway._types.callables import is_unfinished, kind_of
from grantway_plugins.issuer._extensions.errors import InvalidArgumentError
from grantway_plugins.server._http.audit_event import AuditEvent
from grantway_plugins.server._http.denial import Denial, DenialError

if TYPE_CHECKING:
    from grantway_plugins.issuer._storage.transaction import Transaction

#: Seconds after which a call is logged.
SLOW = 1.0
_log = logging.getLogger("grantway.issuer")
_LIBRARIES = frozenset({"grantway", "grantway_grants", "grantway_plugins", "jinja2"})


def call_plugin(
    what: str,
    plugin: str,
    function: Callable[..., Any],
    *arguments: Any,
    transaction: Transaction | None = None,
    returns: tuple[type, ...],
    holds_up: bool = True,
) -> Any:
    """Call a function of a plugin and check the type of its result.

    Args:
        what: The function, for the error.
        plugin: Name of the plugin.
        function: The function.
        arguments: Its positional arguments.
        transaction: The transaction that it may use. An exception after the database has failed is
            not the plugin's.
        returns: Accepted types of the result.
        holds_up: Whether all requests wait for the call, so that a slow one is logged.

    Raises:
        PluginError: the function failed. The message contains the type of the exception and the
            line that raised it, but not the exception's text, which may contain a secret. The text
            of ``InvalidArgumentError`` contains none.
    """
    began = time.monotonic()
    try:
        result = function(*arguments)
    except DenialError as error:
        if not _is_invalid(error.denial):
            raise
        problem = f"raised a denial with a field of the wrong type{_line_of(error)}"
    except BaseException as error:
        if isinstance(error, Exception) and transaction is not None and transaction.failed:
            raise
        problem = f"raised {type(error).__name__}{_line_of(error)}"
        if isinstance(error, InvalidArgumentError):
            problem += f": {error}"
    else:
        if isinstance(result, returns) and not _is_invalid(result):
            return result
        given = "a coroutine" if is_unfinished(result) else kind_of(result)
        if isinstance(result, Denial):
            given += " with a field of the wrong type"
        wanted = " or ".join(each.__name__ for each in returns)
        problem = f"returned {given}; it must return {wanted}"
    finally:
        seconds = time.monotonic() - began
        if holds_up and seconds > SLOW:
            _log.warning("%s (%s) took %.1f s, and all requests waited", what, plugin, seconds)
    # Raised outside the except block, so that the plugin's exception is not the cause.
    raise PluginError(f"{what} ({plugin}) {problem}.", plugin=plugin)


def _is_invalid(result: object) -> bool:
    """Return whether a denial has a field of the wrong type, which would fail when it is sent."""
    return isinstance(result, Denial) and not (
        isinstance(result.error, str)
        and isinstance(result.description, str)
        and isinstance(result.reason, (str, NoneType))
        and isinstance(result.event, (AuditEvent, NoneType))
    )


def _line_of(error: BaseException) -> str:
    """Return the last line outside the libraries that call plugins, or that plugins call."""
    frames = list(traceback.walk_tb(error.__traceback__))
    others = [each for each in frames if _package(each[0]) not in _LIBRARIES] or frames
    frame, line = others[-1]
    return f" at {Path(frame.f_code.co_filename).name}:{line}"


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
