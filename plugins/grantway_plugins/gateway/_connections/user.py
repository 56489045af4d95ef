"""The users of a gateway, identified by the verified tokens or logins of one of its issuers."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field

from grantway._processes.copies import Value


@dataclass(frozen=True, slots=True)
class User(Value):
    """A user of the gateway.

    Attributes:
        issuer: Issuer identifier of the user's token or login.
        subject: The user's ``sub`` at this issuer.
        name: The user's name or email address for pages; empty if unknown.
    """

    issuer: str
    subject: str
    name: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """The user's identifier in stores and URLs: 43 characters, different for each user."""
        return user_id(self.issuer, self.subject)


def user_id(issuer: str, subject: str) -> str:
    """Return a user's identifier. Two issuers may use one ``sub``, so it depends on both."""
    named = json.dumps([issuer, subject])
    hashed = hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode("ascii")
