"""Tokens for SSH keys: the client signs a new nonce for each request."""

from .assertion import SshAssertion
from .grant import GRANT_TYPE, SSH_SIGNATURE
from .signers import Signer, key_file, ssh_agent

__all__ = ["GRANT_TYPE", "SSH_SIGNATURE", "Signer", "SshAssertion", "key_file", "ssh_agent"]
