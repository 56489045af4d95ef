"""Tokens that a platform writes into a file and replaces before they expire."""

from __future__ import annotations

import os
from dataclasses import dataclass

from grantway._exceptions import SecretUnavailableError
from grantway._types.secret_source import Secret
from grantway_plugins.secrets._file import FileSecret

from .jwt import jwt_secret

#: Where the documentation mounts the token. The default token of a pod, in
#: ``/var/run/secrets/kubernetes.io/serviceaccount``, is for the API server, so that sending it to
#: another server would let that server act as the pod.
KUBERNETES_PATH = "/var/run/secrets/grantway/token"
_AWS_VARIABLE = "AWS_WEB_IDENTITY_TOKEN_FILE"


@dataclass(frozen=True, slots=True)
class KubernetesToken(FileSecret):
    """``kubernetes``: a projected service account token.

    The pod needs a volume of type ``projected`` with a ``serviceAccountToken`` for the audience
    that the provider expects. The kubelet replaces the token after 80 % of its lifetime.

    Attributes:
        path: The path of the token; ``~`` is the home directory.
    """

    path: str | os.PathLike[str] = KUBERNETES_PATH

    def read(self) -> Secret:
        """Return the token, which expires at its ``exp``.

        Raises:
            SecretUnavailableError: The file cannot be read, or contains no valid JWT.
        """
        return _token(self, "mount a projected serviceAccountToken there")


@dataclass(frozen=True, slots=True)
class SpiffeToken(FileSecret):
    """``spiffe``: a JWT-SVID in a file, as spiffe-helper writes it.

    Attributes:
        path: The path of the JWT-SVID, ``jwt_svid_file_name`` in spiffe-helper's settings; ``~`` is
            the home directory.
    """

    def read(self) -> Secret:
        """Return the JWT-SVID, which expires at its ``exp``.

        Raises:
            SecretUnavailableError: The file cannot be read, or contains no valid JWT.
        """
        return _token(self, "check that spiffe-helper runs and writes its JWT-SVID there")


@dataclass(frozen=True, slots=True)
class AwsWebIdentityToken:
    """``aws_web_identity``: the token in the file that ``AWS_WEB_IDENTITY_TOKEN_FILE`` names.

    Amazon EKS sets the variable for pods with an IAM role. The audience of the token is the one
    that the service account's annotation ``eks.amazonaws.com/audience`` names.
    """

    def version(self) -> object:
        """Return the path, and time, size and inode of the file."""
        path = os.environ.get(_AWS_VARIABLE, "")
        return path, FileSecret(path).version()

    def read(self) -> Secret:
        """Return the token, which expires at its ``exp``.

        Raises:
            SecretUnavailableError: The variable is not set, or the file contains no valid JWT.
        """
        path = os.environ.get(_AWS_VARIABLE)
        if not path:
            raise SecretUnavailableError(
                f"the environment variable {_AWS_VARIABLE} is not set; give the pod's service "
                "account an IAM role, or use another secret source"
            )
        return _token(FileSecret(path), "check that the pod's service account has an IAM role")


def _token(file: FileSecret, renewal: str) -> Secret:
    return jwt_secret(FileSecret.read(file).value, os.fspath(file.path), renewal)
