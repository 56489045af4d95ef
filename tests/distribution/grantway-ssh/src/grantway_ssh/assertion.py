"""The assertion of a token request: a nonce of the issuer and its signature."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

from grantway import Client, GrantwayError, Secret, SecretUnavailableError

from .grant import signed_text
from .signers import Signer


class SshAssertion:
    """Requests a nonce and signs it, for each send of a request.

    ::

        assertion = SshAssertion(client, "alice@example.com", key_file("~/.ssh/id_ed25519"))
        client.create_token(grant_type=GRANT_TYPE, **assertion.params)

    Args:
        client: The client; its provider must be discovered, so that the issuer is known.
        principal: Name of the key's owner in the issuer's list of allowed signers.
        signer: Signs with the key.
    """

    #: grantway reads it for each send, in a thread, and shares no result between calls.
    single_use: ClassVar[bool] = True

    def __init__(self, client: Client, principal: str, signer: Signer) -> None:
        self._client = client
        self._principal = principal
        self._signer = signer

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of ``create_token`` and ``credential``, except ``grant_type``."""
        return {"principal": self._principal, "assertion": self}

    def read(self) -> Secret:
        """Return an assertion with a new nonce.

        Raises:
            SecretUnavailableError: The issuer returned no nonce, or the key cannot be used.
        """
        issuer = self._client.provider.issuer
        if issuer is None:
            raise SecretUnavailableError("the issuer is unknown; use Provider.discover(URL)")
        try:
            nonce = self._client.call("ssh_nonce").get("nonce")
        except GrantwayError as error:
            raise SecretUnavailableError(f"there is no nonce of {issuer}: {error}") from error
        if not isinstance(nonce, str) or not nonce:
            raise SecretUnavailableError(f"there is no nonce in the response of {issuer}")
        text = signed_text(issuer, self._client.client_id, self._principal, nonce)
        signature = base64.urlsafe_b64encode(self._signer(text)).decode()
        return Secret(f"{nonce}.{signature}")

    def __repr__(self) -> str:
        return f"SshAssertion({self._principal!r})"
