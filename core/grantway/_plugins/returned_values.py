"""Check what a register hook returned: its type, its size and each of its entries."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from grantway._exceptions import RegistryError
from grantway._requests.middleware.contract import name_of, problem_of
from grantway._types.callables import is_unfinished, kind_of

from .kinds import Kind, is_reference

if TYPE_CHECKING:
    from grantway._requests.middleware import Middleware

MIDDLEWARE = "grantway_register_middleware"
#: Maximum entries per hook, so that an infinite generator cannot hang the process.
_MOST = 1_000


def named_values(kind: Kind, returned: object) -> dict[str, Any]:
    """Return the checked entries of a register hook by name."""
    if not kind.own_name:
        found = _mapped(kind.hook, returned)
        for name, value in found.items():
            kind.check_export(name, value)
        return found
    if isinstance(returned, Mapping):
        found = _mapped(kind.hook, returned)
        for name, value in found.items():
            if not is_reference(value):
                raise RegistryError(
                    f"{kind.hook} returned a mapping, not a list, and its entry {name!r:.80} is "
                    "not a reference like 'my_package.grants:COUPON'"
                )
        return found
    by_name: dict[str, Any] = {}
    for value in _listed(kind.hook, returned):
        kind.check(kind.hook, value)
        name = getattr(value, kind.own_name)
        if name in by_name:
            raise RegistryError(f"the {kind.label} {name!r} is registered twice; register it once")
        by_name[name] = value
    return by_name


def _listed(hook: str, returned: object) -> tuple[Any, ...]:
    """Return the entries of a list or generator that a hook returned."""
    if not isinstance(returned, Iterable) or isinstance(returned, (str, bytes, Mapping)):
        raise _unusable(hook, returned, "a list")
    return _bounded(hook, returned)


def _mapped(hook: str, returned: object) -> dict[str, Any]:
    """Return the entries of a mapping that a hook returned."""
    if not isinstance(returned, Mapping):
        raise _unusable(hook, returned, "a mapping")
    names = _bounded(hook, returned)
    for name in names:
        if not isinstance(name, str) or not name:
            raise RegistryError(f"{hook} returned {name!r:.80} as a name; use a non-empty string")
    return {name: returned[name] for name in names}


def _unusable(hook: str, returned: object, wanted: str) -> RegistryError:
    if is_unfinished(returned):
        return RegistryError(f"{hook} is asynchronous; return {wanted} from a plain function")
    return RegistryError(f"{hook} returned {kind_of(returned)}, not {wanted}")


def _bounded(hook: str, returned: Iterable[Any]) -> tuple[Any, ...]:
    found = tuple(itertools.islice(returned, _MOST + 1))
    if len(found) > _MOST:
        raise RegistryError(
            f"{hook} returned more than {_MOST} entries; return each entry once, from a list or a "
            "generator that ends"
        )
    return found


def middleware_values(returned: object) -> tuple[Middleware, ...]:
    """Return the checked entries of ``grantway_register_middleware``."""
    listed = _listed(MIDDLEWARE, returned)
    for each in listed:
        if problem := problem_of(each):
            raise RegistryError(f"the middleware {name_of(each)} {problem}")
    return listed
