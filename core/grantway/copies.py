"""How objects are copied and pickled, and the error for those that belong to one process."""

from __future__ import annotations

from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from _typeshed import DataclassInstance


class OneProcess:
    """Mixin for objects that threads share and that hold connections, locks or secrets.

    Copying one gives the same object, so that whatever contains it can be copied. Pickling it
    raises ``TypeError``: the other process has to make its own.
    """

    __slots__ = ()

    #: Why it cannot be pickled, and what to do.
    stays = "it holds connections and locks; make one in the process that uses it"

    def __copy__(self) -> Self:
        """Return the object itself."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the object itself."""
        return self

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Refuse to be pickled.

        Raises:
            TypeError: always; says what to do.
        """
        refuse_pickle(self, self.stays)


def refuse_pickle(value: object, reason: str) -> NoReturn:
    """Raise the error for an object that cannot be pickled.

    Args:
        value: The object.
        reason: Why not, and what to do.

    Raises:
        TypeError: always, like the errors of ``pickle`` itself.
    """
    raise TypeError(f"A {type(value).__name__} cannot be pickled: {reason}.")


def check_parts(value: object, **parts: object) -> None:
    """Check that all parts of an object can be pickled.

    Args:
        value: The object.
        **parts: What it is made of, by the names of its arguments.

    Raises:
        TypeError: names the part that cannot.
    """
    import pickle  # noqa: PLC0415 - only where something is pickled, which loads it

    for name, part in parts.items():
        try:
            pickle.dumps(part)
        except Exception as error:  # noqa: BLE001 - pickle and foreign objects raise any kind
            problem = str(error).rstrip(".")
        else:
            continue
        refuse_pickle(value, f"its {name} cannot: {problem}")


def by_arguments(value: DataclassInstance) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return what ``__reduce__`` of a dataclass returns to have it made again by its arguments.

    Read-only views of mappings, which cannot be pickled, travel as dictionaries.
    """
    arguments = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
    plain = {
        name: dict(given) if isinstance(given, MappingProxyType) else given
        for name, given in arguments.items()
    }
    return _made, (type(value), plain)


def _made(kind: type[Any], arguments: dict[str, Any]) -> Any:
    return kind(**arguments)
