"""The keys that the issuer accepts, in OpenSSH's format of allowed signers."""

from __future__ import annotations

import logging
from pathlib import Path

from .grant import NAMESPACE
from .sshsig import namespace_of

_log = logging.getLogger(__name__)


class AllowedSigners:
    """A file of allowed signers (ssh-keygen(1)), which is read for each signature.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def accept(self, principal: str, text: bytes, signature: bytes) -> bool:
        """Return whether a key of the principal has signed the text for this grant."""
        import asyncssh  # noqa: PLC0415 - slow to import

        if namespace_of(signature) != NAMESPACE:
            return False
        try:
            allowed = self._path.read_bytes()
            return asyncssh.validate_sshsig(text, signature, principal, allowed)
        except (OSError, ValueError) as error:
            _log.warning("No key is allowed: %s: %s", self._path, error)
            return False
