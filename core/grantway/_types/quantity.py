"""Checks of durations, counts and shares that callers configure."""

from __future__ import annotations

import math
import re
from typing import Any, NoReturn

from grantway._exceptions import ConfigurationError

#: Longest duration in seconds (31 years). Sockets and locks reject much larger numbers.
LONGEST = 1e9
#: Largest count, beyond any useful size.
LARGEST = 10**12
#: Maximum connections per pool. Pools allocate slots for all of them at the start.
MOST_CONNECTIONS = 65_535
#: Maximum entries per cache.
MOST_ENTRIES = 10**8
_LAST_WORD = re.compile(r"\w+\Z")


def reject(where: str, rule: str, value: Any) -> NoReturn:
    """Raise ``ConfigurationError`` for an invalid argument.

    Args:
        where: The argument, optionally with its owner, like ``RetryPolicy.base``.
        rule: The rule it violates, like ``must be a number``.
        value: The invalid value.

    Raises:
        ConfigurationError: always. The key in ``errors`` is the last word of ``where``.
    """
    name = _LAST_WORD.search(where)
    raise ConfigurationError(
        f"{where}: {rule}, not {_shown(value)}.", errors={name[0] if name else where: [rule]}
    )


def check_seconds(
    where: str, value: Any, *, least: float | None = None, most: float = LONGEST
) -> None:
    """Check a duration in seconds.

    Args:
        where: As for ``reject``.
        value: The duration.
        least: The minimum; by default any value greater than zero.
        most: The maximum.

    Raises:
        ConfigurationError: the value is not a number (``True`` is not one), not finite or out of
            range.
    """
    if _is_number(value) and (value > 0 if least is None else value >= least) and value <= most:
        return
    reject(where, f"must be a number of seconds {_range(least, most, LONGEST)}", value)


def check_wait(timeout: float | None) -> float | None:
    """Check the ``timeout`` of a wait for a token, and return it.

    Args:
        timeout: Zero does not wait, infinity waits indefinitely, None means a default.

    Raises:
        ConfigurationError: the timeout is not a duration.
    """
    if timeout is not None:
        check_lock_wait(timeout)
    return timeout


def check_lock_wait(timeout: float) -> None:
    """Check the ``timeout`` of a wait for a store's lock.

    Args:
        timeout: Zero does not wait, infinity waits indefinitely.

    Raises:
        ConfigurationError: the timeout is not a duration.
    """
    if timeout != math.inf:
        check_seconds("timeout", timeout, least=0)


def check_count(where: str, value: Any, *, least: int = 1, most: int = LARGEST) -> None:
    """Check a count, a size or a port: a whole number.

    Args:
        where: As for ``reject``.
        value: The number.
        least: The minimum.
        most: The maximum.

    Raises:
        ConfigurationError: the value is not an ``int`` (``True`` is not one) or out of range.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and least <= value <= most:
        return
    # Mention the technical limit only if the number exceeds it.
    silent = None if whole and value > LARGEST else LARGEST
    reject(where, f"must be a whole number {_range(least, most, silent)}", value)


def check_share(where: str, value: Any, *, zero: bool = True) -> None:
    """Check a share: a number from 0 to 1.

    Args:
        where: As for ``reject``.
        value: The share.
        zero: Whether it may be 0.

    Raises:
        ConfigurationError: the value is not a share.
    """
    if _is_number(value) and (value >= 0 if zero else value > 0) and value <= 1:
        return
    reject(where, f"must be a number {_range(0 if zero else None, 1, None)}", value)


def finite(value: Any) -> float | None:
    """Return a number of another party as a finite float; None for anything else."""
    if not _is_number(value):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer that no float can represent
        return None
    return number if math.isfinite(number) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """Return the start of the value's ``repr``."""
    try:
        return f"{value!r:.80}"
    except ValueError:  # Python writes no integer of more than 4300 digits
        return "a number of thousands of digits"


def _range(least: float | None, most: float | None, silent: float | None) -> str:
    """Describe the allowed range, without the technical limit ``silent``."""
    lower = "greater than 0" if least is None else f"from {least:.10g}"
    if most is None or most == silent:
        return lower
    return f"{lower} and at most {most:.10g}" if least is None else f"{lower} to {most:.10g}"
