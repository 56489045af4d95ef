"""Import the public names of a package on first use, so that importing the package is fast."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def lazy(
    package: str, homes: "dict[str, str]"
) -> "tuple[Callable[[str], Any], Callable[[], list[str]]]":
    """Return the ``__getattr__`` and ``__dir__`` of a package.

    Type checkers read the names from the imports that the package makes under ``TYPE_CHECKING``;
    a test keeps the two lists equal. ``__all__`` is the list of the names.

    Args:
        package: The ``__name__`` of the package.
        homes: Module to its public names, separated by spaces. A module that starts with a dot is
            relative to the package; ``"."`` lists public modules.
    """
    home = {name: module for module, names in homes.items() for name in names.split()}

    def get(name: str) -> "Any":
        if name == "__all__":
            return sorted(home)
        from importlib import import_module  # noqa: PLC0415 - most imports of a package need no name

        module = home.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if module == ".":  # a public module of the package
            return import_module(f".{name}", package)
        value = getattr(import_module(module, package), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> "list[str]":
        return sorted({*vars(sys.modules[package]), *home})

    return get, names
