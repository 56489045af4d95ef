"""The rules for what the register hooks return, except grants."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grantway._exceptions import (
    TOKEN_ERRORS,
    Evidence,
    GrantInvalidError,
    RegistryError,
    TokenError,
)
from grantway._types.callables import is_async, kind_of

_REFERENCE = re.compile(r"[\w.]+:[\w.]+")


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


def check_issuer_grant(grant_type: str, side: object) -> None:
    """Reject what is neither an issuer grant nor a reference to one.

    Raises:
        RegistryError: says what is wrong and how to fix it.
    """
    if isinstance(side, str):
        if not _REFERENCE.fullmatch(side):
            raise GrantInvalidError(
                f"the issuer grant {grant_type} is the text {side!r:.80}; use an object with "
                "decide(request, transaction), or name one, like 'my_package.issuer:COUPONS'"
            )
        return
    decide = getattr(side, "decide", None)
    if not callable(decide):
        raise GrantInvalidError(
            f"the issuer grant {grant_type} has no decide(request, transaction)"
        )
    reject_async(f"decide of the issuer grant {grant_type}", decide)


def check_reference(hook: str, name: str, reference: object) -> None:
    """Reject an entry of a mapping that is not a reference.

    Raises:
        RegistryError: says what is wrong and how to fix it.
    """
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        raise RegistryError(
            f"{hook} returned a mapping, not a list, and its entry {name!r:.80} is not a reference "
            "like 'my_package.grants:COUPON'"
        )


def check_errors(errors: Mapping[str, object]) -> None:
    for code, kind in errors.items():
        if not (inspect.isclass(kind) and issubclass(kind, TokenError)):
            raise RegistryError(f"the class for the error code {code!r} is not a TokenError")
        _check_error_class(code, kind)
        if any(code == standard.wire for standard in TOKEN_ERRORS):
            raise RegistryError(f"the error code {code!r} has a class already")


def _check_error_class(code: str, kind: type[TokenError]) -> None:
    """Create an instance as the error mapping does, so that this cannot fail during a call."""
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


def check_once(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise RegistryError(f"the {kind} {name!r} is registered twice; register it once")


def check_callables(kind: str, returned: Iterable[object]) -> None:
    for one in returned:
        if not callable(one):
            raise RegistryError(
                f"the {kind} {type(one).__name__} cannot be called; return a function or an object "
                "with __call__"
            )
        name = getattr(one, "__qualname__", type(one).__name__)
        reject_async(f"the {kind} {name}", one)
