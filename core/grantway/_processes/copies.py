"""Copying and pickling of objects, and the error for objects that belong to one process."""

from __future__ import annotations

import copy
from dataclasses import Field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from typing import Self


_CANNOT = " cannot be pickled: "


class OneProcess:
    """Mixin for objects that threads share and that hold connections, locks or secrets.

    Copying returns the same object, so that objects that contain it can be copied. Pickling raises
    ``TypeError``: create the object in the other process instead.
    """

    __slots__ = ()

    #: Reason why the object cannot be pickled, and a remedy.
    stays = "it holds connections and locks; create one in the process that uses it"

    def __copy__(self) -> Self:
        """Return the object itself."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the object itself."""
        return self

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Reject pickling.

        Raises:
            TypeError: Always; gives a remedy.
        """
        reject_pickling(self, self.stays)


def reject_pickling(value: object, reason: str) -> NoReturn:
    """Raise the error for an object that cannot be pickled.

    Args:
        value: The object.
        reason: The reason, and a remedy.

    Raises:
        TypeError: Always, like the errors of ``pickle`` itself.
    """
    name = type(value).__name__
    article = "An" if name[0] in "AEIOU" else "A"
    raise TypeError(f"{article} {name}{_CANNOT}{reason}.")


def check_parts(value: object, **parts: object) -> None:
    """Check that all parts of an object can be pickled.

    Args:
        value: The object.
        **parts: Its parts, by the names of its arguments.

    Raises:
        TypeError: A part cannot be pickled; names it.
    """
    import pickle  # noqa: PLC0415 - pickling loads it anyway

    for name, part in parts.items():
        try:
            pickle.dumps(part)
        except Exception as error:  # noqa: BLE001 - pickle and other objects may raise anything
            problem = str(error).rstrip(".")
        else:
            continue
        if _CANNOT not in problem:  # an error of pickle itself, without advice
            problem += ". Make it in the process that uses it"
        reject_pickling(value, f"its {name} cannot: {problem}")


class Value:
    """Mixin for dataclasses that are copied and pickled by their arguments.

    Read-only views of mappings, which cannot be pickled, are pickled as dictionaries.

    Frozen dataclasses may also inherit their comparison, hash and repr, with ``eq=False`` and
    ``repr=False``. Generating these for each class takes longer than importing its module.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Compare the fields with those of an object of the same class."""
        if type(other) is not type(self):
            return NotImplemented
        compared = [each.name for each in _fields(self) if each.compare]
        return all(getattr(self, name) == getattr(other, name) for name in compared)

    def __hash__(self) -> int:
        """Return the hash of the fields that have one."""
        hashed = (
            getattr(self, each.name)
            for each in _fields(self)
            if (each.compare if each.hash is None else each.hash)
        )
        return hash(tuple(hashed))

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in _fields(self) if each.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __copy__(self) -> Self:
        """Return a new object with the same arguments."""
        return type(self)(**_arguments(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a new object with copies of the arguments."""
        return type(self)(**copy.deepcopy(_arguments(self), memo))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments.

        Raises:
            TypeError: An argument cannot be pickled; names it.
        """
        arguments = _arguments(self)
        check_parts(self, **arguments)
        return _create, (type(self), arguments)


def _fields(value: Any) -> tuple[Field[Any], ...]:
    return fields(value)


def _arguments(value: Value) -> dict[str, Any]:
    arguments = {each.name: getattr(value, each.name) for each in _fields(value) if each.init}
    return {
        name: dict(given) if isinstance(given, MappingProxyType) else given
        for name, given in arguments.items()
    }


def _create(kind: type[Any], arguments: dict[str, Any]) -> Any:
    return kind(**arguments)
