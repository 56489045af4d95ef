"""Check that another process can use the arguments of a ``ResourceAuth``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grantway._processes.copies import check_parts, reject_pickling

_REMEDY = "create one in the process that uses it"


def check_can_be_pickled(auth: object, arguments: Mapping[str, Any]) -> None:
    """Check that a copy would find the token, and that no secret would leave this process.

    Args:
        auth: The ``ResourceAuth``.
        arguments: Its arguments that are not None.

    Raises:
        TypeError: The copy could not find the token, or a secret would leave this process.
    """
    if arguments.get("store", "memory") == "memory":
        reject_pickling(
            auth,
            "it keeps its token in this process alone; give it a store that the processes share, "
            f"such as FileStore, or {_REMEDY}",
        )
    secret, client_auth = arguments.get("client_secret"), arguments.get("auth")
    has_secrets = not isinstance(client_auth, str | None) and client_auth.secrets()
    if isinstance(secret, str) or has_secrets:
        reject_pickling(auth, f"it holds a client secret; {_REMEDY}")
    if "dpop_key" in arguments:
        reject_pickling(auth, f"it holds a private key; {_REMEDY}")
    check_parts(auth, **arguments)
