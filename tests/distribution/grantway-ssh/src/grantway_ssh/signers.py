"""Sign with a key in a file, or with a key of ssh-agent."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

from grantway import SecretUnavailableError

from .grant import NAMESPACE

#: Returns the SSHSIG signature of a text, without armour.
Signer = Callable[[bytes], bytes]
#: Maximum seconds for the agent, which may ask the user.
TIMEOUT = 60.0


def key_file(path: str | Path, passphrase: str | None = None) -> Signer:
    """Return a signer with a private key in a file of ssh-keygen.

    Args:
        path: The file.
        passphrase: The passphrase of an encrypted key.

    Raises:
        SecretUnavailableError: The file cannot be read, or has no such key.
    """
    import asyncssh  # noqa: PLC0415 - slow to import

    try:
        key = asyncssh.read_private_key(Path(path).expanduser(), passphrase)
    except (OSError, ValueError) as error:  # asyncssh's errors are ValueErrors
        problem = error.strerror if isinstance(error, OSError) else "no private key, or encrypted"
        raise SecretUnavailableError(
            f"{path} cannot be used: {problem}; give a private key of ssh-keygen and its passphrase"
        ) from None  # the error may contain the file's content
    return lambda text: asyncssh.create_sshsig(key, text, namespace=NAMESPACE, raw=True)


def ssh_agent(public_key: str | Path) -> Signer:
    """Return a signer with a key of ssh-agent, including hardware keys. Runs ``ssh-keygen``.

    Args:
        public_key: File of the public key.
    """
    file = Path(public_key).expanduser()

    def sign(text: bytes) -> bytes:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(file), "-n", NAMESPACE]
        try:
            done = subprocess.run(
                command, input=text, capture_output=True, timeout=TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = type(error).__name__
        else:
            if done.returncode == 0:
                return base64.b64decode(b"".join(done.stdout.splitlines()[1:-1]))
            problem = done.stderr.decode(errors="replace").strip()
        raise SecretUnavailableError(
            f"ssh-keygen cannot sign with {file}: {problem}; add the key with ssh-add"
        )

    return sign
