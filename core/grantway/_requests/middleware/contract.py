"""Check that middleware is a generator function of one argument."""

from __future__ import annotations

import inspect
from types import FunctionType

from grantway._types.callables import innermost, is_async

HOW = "def {}(exchange): response = yield exchange; return response"


def name_of(middleware: object) -> str:
    """Return the name of a middleware, for messages."""
    return getattr(middleware, "__qualname__", type(middleware).__name__)


def problem_of(middleware: object) -> str:
    """Return the reason why an object cannot be middleware and how to write it, or ''.

    A decorated function counts as what it wraps. It is checked again when it is called, like
    callables that Python cannot inspect.
    """
    if not callable(middleware):
        return f"cannot be called; {how_to_write(middleware)}"
    if is_async(middleware):
        return (
            "is asynchronous (async def), and one form serves blocking and asynchronous callers; "
            f"{how_to_write(middleware)}"
        )
    function = innermost(inspect.unwrap(middleware))
    if isinstance(function, FunctionType) and not inspect.isgeneratorfunction(function):
        return f"is not a generator function; {how_to_write(middleware)}"
    try:
        inspect.signature(middleware).bind(None)
    except TypeError:
        return f"does not take the exchange as its only argument; {how_to_write(middleware)}"
    except ValueError:  # a builtin without a signature
        return ""
    return ""


def how_to_write(middleware: object) -> str:
    """Return how to write a middleware with this name."""
    name = name_of(middleware).rpartition(".")[2]
    return f"write it as: {HOW.format(name if name.isidentifier() else 'middleware')}"
