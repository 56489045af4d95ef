"""Objects that both httpx and httpx2 accept as ``auth``."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx
    import httpx2

    class _Auth(httpx.Auth, httpx2.Auth):  # type: ignore[misc] # they do not know each other
        """The classes whose instances type checkers accept as ``auth``."""

else:
    _Auth = object


class AnyHttpxAuth(_Auth):
    """Base of classes that define ``sync_auth_flow`` and ``async_auth_flow``.

    httpx and httpx2 accept only instances of their class ``Auth``. ``isinstance`` reads
    ``__class__``, so that one object is an instance of both, and no library is imported here.
    """

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> type:
            """The class of the object, with the class ``Auth`` of each imported library."""
            loaded = (sys.modules.get(name) for name in ("httpx", "httpx2"))
            found = (getattr(module, "Auth", None) for module in loaded)
            return _with_bases(type(self), *(base for base in found if base is not None))


@lru_cache(64)
def _with_bases(own: type, *others: type) -> type:
    # The two modules are the same one after httpx2.alias_httpx().
    return type(own.__name__, tuple(dict.fromkeys((own, *others))), {}) if others else own
