"""Checks of the code that grantway calls and did not write. grantway calls it synchronously."""

from __future__ import annotations

import functools
import inspect
from typing import Any


def is_async(function: object) -> bool:
    """Whether calling this gives a coroutine or an asynchronous generator instead of a result."""
    while isinstance(function, (functools.partial, staticmethod, classmethod)):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    # An object with an asynchronous __call__ counts too; of a class, calling it makes an instance.
    if not inspect.isroutine(function):
        function = vars(type(function)).get("__call__")
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def is_unfinished(result: object) -> bool:
    """Whether a call returned something to await; close it if it is a coroutine.

    For functions that ``is_async`` cannot see through, such as decorated ones.
    """
    if inspect.iscoroutine(result):
        result.close()
        return True
    return inspect.isawaitable(result) or inspect.isasyncgen(result)


def kind_of(value: Any) -> str:
    """The type of a value, for messages, which must not quote the value."""
    return "None" if value is None else f"a {type(value).__name__}"
