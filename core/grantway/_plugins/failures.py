"""Report failed plugins as errors and in the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from grantway._exceptions import GrantwayError, PluginIncompatibleError, PluginLoadError
from grantway._log import logger
from grantway._types.callables import is_of_caller
from grantway._types.plugin_status import PluginStatus

T = TypeVar("T")

_NOT_PLUGINS = {"grantway", "grantway_grants", "grantway_plugins", "importlib", "pluggy"}
_lock = threading.Lock()
#: Path of a plugin -> the last logged failure, because every reload builds the registry again.
_logged: dict[str, str] = {}


def not_loaded(status: PluginStatus, named: str = "") -> PluginLoadError:
    """Return the error for a plugin that is not loaded.

    Args:
        status: The status of the plugin.
        named: The plugin's name in the message.
    """
    kind = PluginIncompatibleError if status.state == "incompatible" else PluginLoadError
    named = named or f"The plugin {status.named}"
    verb = "was not loaded" if status.state == "blocked" else "could not be loaded"
    return kind(f"{named} {verb}: {status.reason}")


def place_of(error: BaseException | None, package: str) -> str:
    """Return the file and line of a plugin's code that raised an exception; empty if unknown.

    Args:
        error: The exception, or None.
        package: The plugin's top-level package; empty for a plugin of the program.
    """
    found = ""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        root = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
        if root == package or not (package or root in _NOT_PLUGINS):
            found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    if not found and error is not None and error.__cause__ is not None:
        found = place_of(error.__cause__, package)
    return found or getattr(error, "at", "")


def reason_of(error: BaseException) -> str:
    """Return the type and message of an exception that a plugin raised."""
    try:
        return f"{type(error).__name__}: {error}"
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - __str__ is plugin code too
        return f"{type(error).__name__} (its message cannot be read)"


def hidden_reason(error: BaseException, *, located: bool = True) -> str:
    """Describe an exception of a plugin without its text, which may contain a secret.

    The text of an ``ImportError`` is kept: it names a module, and how to install it.

    Args:
        error: The exception.
        located: Whether to include the file and line.
    """
    if isinstance(error, ImportError):
        return f"raised {reason_of(error)}"
    at = place_of(error, "") if located else ""
    return (
        f"raised {type(error).__name__}{f' (at {at})' if at else ''}; its text is not shown, "
        "because it may contain a secret. A plugin should raise a grantway.ConfigurationError that "
        "says what is wrong"
    )


def call_factory(
    factory: Callable[..., T], options: Mapping[str, Any], refuse: Callable[[str], GrantwayError]
) -> T:
    """Call a factory of a plugin, whose exceptions may contain its options.

    Args:
        factory: The factory.
        options: Its keyword arguments, as ``Params``.
        refuse: Returns the error for a problem of the factory, which is described without its text.

    Raises:
        GrantwayError: the factory raised it, or ``refuse`` returned it.
        TypeError: the factory does not accept the options.
    """
    try:
        return factory(**options)
    except GrantwayError:
        raise
    except Exception as error:
        if is_of_caller(error):
            raise
        problem = hidden_reason(error)
    # Not in the except block, because the exception may hold the options.
    raise refuse(problem)


def report_failures(statuses: Iterable[PluginStatus], causes: Mapping[str, BaseException]) -> None:
    """Log a warning for each plugin that failed or lost a name; repeat none for an installed one.

    Args:
        statuses: The status of each plugin.
        causes: Path of a plugin -> the exception. Its traceback is logged, without values.
    """
    for status in statuses:
        skipped = status.state in {"failed", "incompatible"}
        cause = causes.get(status.path)
        if not (skipped or status.conflicts) or (
            status.distribution and not _is_news(status, cause)
        ):
            continue
        logger.warning(
            "The plugin %s could not be loaded and is skipped: %s"
            if skipped
            else "The plugin %s is loaded only in part: %s",
            status.named,
            status.reason if skipped else " ".join(status.conflicts),
            exc_info=cause,
            extra={"plugin": status.path},
        )


def forget_reports() -> None:
    """Report every failure again, as in a new process."""
    with _lock:
        _logged.clear()


def _is_news(status: PluginStatus, cause: BaseException | None) -> bool:
    from traceback import format_exception  # noqa: PLC0415 - only for failures

    lines = format_exception(cause) if cause is not None else []
    failure = "".join([status.version, status.reason, *status.conflicts, *lines])
    with _lock:
        if _logged.get(status.path) == failure:
            return False
        _logged[status.path] = failure
        return True
