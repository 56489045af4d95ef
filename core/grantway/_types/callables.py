"""Checks of third-party callables, which grantway calls synchronously."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from types import FunctionType, MethodType
from typing import Any


def innermost(function: object) -> object:
    """Return the function that a call runs, inside partial objects, methods and instances."""
    if isinstance(function, FunctionType):
        return function
    while isinstance(function, (functools.partial, staticmethod, classmethod, MethodType)):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    if not callable(function):
        return None
    # Objects with a __call__ count too. Calling a class creates an instance.
    return function if inspect.isroutine(function) else vars(type(function)).get("__call__")


def is_async(function: object) -> bool:
    """Return whether a call would return a coroutine or asynchronous generator."""
    function = innermost(function)
    return function is not None and (
        inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    )


def is_unfinished(result: object) -> bool:
    """Return whether a call returned an awaitable; close it if it is a coroutine.

    Catches functions that ``is_async`` does not recognise, such as decorated ones.
    """
    if inspect.iscoroutine(result):
        result.close()
        return True
    return inspect.isawaitable(result) or inspect.isasyncgen(result)


def kind_of(value: Any) -> str:
    """Return the type of a value, for messages, which must not quote the value."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def is_of_caller(error: Exception) -> bool:
    """Whether the arguments of a call do not fit, and the called code did not run.

    Call it in the function that made the call.
    """
    trace = error.__traceback__
    return isinstance(error, TypeError) and trace is not None and trace.tb_next is None


def computed_names(params: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the parameters that are functions, called for each send."""
    return frozenset(name for name, value in params.items() if callable(value))
