"""Remove secret arguments from the frames of tracebacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type[Any])


class _Held:
    """The arguments of a call, which its repr does not show."""

    __slots__ = ("args", "kwargs")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs


def hides_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that tracebacks of its exceptions do not contain its arguments.

    Tools such as rich, Sentry and ``pytest --showlocals`` print the local variables of each frame.
    They are cleared in the frames of the function and the functions that it called, but not in the
    frames of its callers.
    """

    @wraps(function)
    def hidden(*args: P.args, **kwargs: P.kwargs) -> R:
        held = _Held(args, kwargs)
        del args, kwargs
        try:
            return function(*held.args, **held.kwargs)
        except Exception as error:
            clear_locals(error)
            raise

    return hidden


def hides_construction(kind: C) -> C:
    """Decorate a class, such as a dataclass, so that its constructor hides its arguments."""
    kind.__init__ = hides_arguments(kind.__init__)
    return kind


def clear_locals(error: Exception) -> None:
    """Clear the local variables of the functions that raised an error, which may be secret.

    Those of the function that calls this one, and of its callers, remain.

    Args:
        error: The error, which the caller has caught.
    """
    from traceback import clear_frames  # noqa: PLC0415 - only for errors

    for each in _raised_inside(error):
        clear_frames(each.__traceback__)


def _raised_inside(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, and its causes and contexts that were raised below the same frames."""
    from traceback import walk_tb  # noqa: PLC0415 - only for errors

    frames = {frame for frame, _ in walk_tb(error.__traceback__)}
    chained: BaseException | None = error
    seen: set[int] = set()
    while chained is not None and id(chained) not in seen:
        seen.add(id(chained))
        first = chained.__traceback__
        if first is not None and first.tb_frame in frames:
            yield chained
        chained = chained.__cause__ or chained.__context__
