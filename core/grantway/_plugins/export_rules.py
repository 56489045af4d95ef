"""Rules for objects that the register hooks return."""

from __future__ import annotations

import inspect
from typing import Any

from grantway._exceptions import Evidence, RegistryError, TokenError
from grantway._types.callables import is_async, kind_of


def reject_async(what: str, function: object) -> None:
    """Reject an asynchronous function.

    Raises:
        RegistryError: the function is asynchronous.
    """
    if is_async(function):
        raise RegistryError(
            f"{what} is asynchronous (async def), and grantway calls it synchronously; "
            "make it a plain function"
        )


def check_callable(label: str, value: object) -> None:
    """Reject what cannot be called.

    Raises:
        RegistryError: the object cannot be called, or is asynchronous.
    """
    if not callable(value):
        raise RegistryError(
            f"the {label} {type(value).__name__} cannot be called; return a function or an object "
            "with __call__"
        )
    name = getattr(value, "__qualname__", type(value).__name__)
    reject_async(f"the {label} {name}", value)


def check_error_class(code: str, kind: object) -> None:
    """Reject a class of which the error mapping cannot create instances during a call.

    Raises:
        RegistryError: says what is wrong and how to fix it.
    """
    if not (inspect.isclass(kind) and issubclass(kind, TokenError)):
        raise RegistryError(f"the class for the error code {code!r} is not a TokenError")
    keywords: dict[str, Any] = {
        each.name: None
        for each in inspect.signature(TokenError.__init__).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }
    try:
        instance: object = kind("message", **{**keywords, "error": code, "evidence": Evidence()})
    except Exception as error:
        raise RegistryError(
            f"the class {kind.__name__} for the error code {code!r} cannot be created with "
            f"the arguments of TokenError ({type(error).__name__}: {error}); keep its __init__, "
            "and read members with .get() or in a property, because they may be missing"
        ) from error
    if not isinstance(instance, kind):
        raise RegistryError(
            f"the class {kind.__name__} for the error code {code!r} creates {kind_of(instance)}"
        )
