"""How objects are copied and pickled, and the error for those that belong to one process."""

from __future__ import annotations

import copy
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from typing import Self


_REFUSED = " cannot be pickled: "


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
    name = type(value).__name__
    article = "An" if name[0] in "AEIOU" else "A"
    raise TypeError(f"{article} {name}{_REFUSED}{reason}.")


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
        if _REFUSED not in problem:  # an error of pickle itself, without advice
            problem += ". Make it in the process that uses it"
        refuse_pickle(value, f"its {name} cannot: {problem}")


class Value:
    """Mixin for dataclasses that are copied and pickled by their arguments.

    Read-only views of mappings, which cannot be pickled, travel as dictionaries.
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        """Return another with the same arguments."""
        return type(self)(**_arguments(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return another with copies of the arguments."""
        return type(self)(**copy.deepcopy(_arguments(self), memo))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments.

        Raises:
            TypeError: an argument cannot be pickled; names it.
        """
        arguments = _arguments(self)
        check_parts(self, **arguments)
        return _made, (type(self), arguments)


def _arguments(value: Any) -> dict[str, Any]:
    arguments = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
    return {
        name: dict(given) if isinstance(given, MappingProxyType) else given
        for name, given in arguments.items()
    }


def _made(kind: type[Any], arguments: dict[str, Any]) -> Any:
    return kind(**arguments)
