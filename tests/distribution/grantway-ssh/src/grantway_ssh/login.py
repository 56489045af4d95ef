"""``grantway login`` with an SSH key."""

from __future__ import annotations

from grantway import LoginContext, Token

from .assertion import SshAssertion
from .signers import key_file, ssh_agent


def log_in(login: LoginContext, key: str) -> Token:
    """Sign with the key of the settings, or with its part in ssh-agent, and return the token.

    Args:
        login: The profile, whose parameter ``principal`` names the owner of the key.
        key: File of the private key; one that ends with ``.pub`` selects a key of ssh-agent.
    """
    principal = str(login.params.get("principal") or login.screen.ask("Principal"))
    signer = ssh_agent(key) if key.endswith(".pub") else key_file(key)
    return login.request(**SshAssertion(login.client, principal, signer).params)
