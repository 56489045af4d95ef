"""The formats of ``grantway token --format``, which other programs read.

Each format is a protocol: kubectl's ExecCredential, Git's and Docker's credential helpers, and an
HTTP header. ``fresh_token`` uses this module, so it imports only what Python loads at its start.
"""

# ruff: noqa: PLC0415

import os
import sys
import time

from .token_file import PLAIN, parsed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

FORMATS = ("plain", "json", "header", "kubectl", "git", "docker", "aws")
#: Formats of programs that pass an operation and the host that the credential is for.
HELPERS = ("git", "docker")
#: Username for servers that expect the token as a password.
USERNAME = "oauth2"

_KUBERNETES = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_EXEC_INFO = "KUBERNETES_EXEC_INFO"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}
#: The text that Docker recognises.
_NOT_FOUND = "credentials not found in native keychain"
#: Unix time of the first year that RFC 3339 cannot represent.
_YEAR_10000 = 253_402_300_800
#: More than any request of Git or Docker, in bytes.
_LARGEST_REQUEST = 65_536


class FormatError(Exception):
    """The token cannot be printed in this format. The message contains no secret."""


class Output:
    """A format, and the request of the program that reads it.

    Args:
        form: One of ``FORMATS``.
        operation: Operation of a credential helper, such as ``get``.
        hosts: Hosts that may receive the token, with a port unless it is the default one.
        username: Username that goes with the token, or None for the default.

    Attributes:
        form: One of ``FORMATS``.
    """

    def __init__(
        self,
        form: str = "plain",
        operation: "str | None" = None,
        hosts: "Sequence[str]" = (),
        username: "str | None" = None,
    ) -> None:
        self.form = form
        self._operation = operation
        self._hosts = tuple(each.lower() for each in hosts)
        self._username = username
        self._server = ""
        self._api = _KUBERNETES[0]

    def mistake(self) -> str:
        """Return what is wrong with the arguments; empty if they are valid."""
        helper = self.form in HELPERS
        if helper and self._operation is None:
            return f"--format {self.form} needs the NAME of a profile and an operation, like get."
        if helper and not self._hosts:
            return f"--format {self.form} needs --host, so that no other host gets the token."
        if not helper and (self._operation is not None or self._username is not None):
            return "An operation and --username are only for --format git and docker."
        if self._hosts and not helper and self.form != "kubectl":
            return "--host is only for --format git, docker and kubectl."
        wrong = [each for each in self._hosts if not _is_host(each)]
        if wrong or not (self._username or "").isprintable():
            return "--host must be a host, like git.example.com:8443, and --username printable."
        return ""

    def without_token(self) -> "tuple[str, int] | None":
        """Read the request, and return the output and exit status if it needs no token.

        Raises:
            FormatError: The request is invalid.
        """
        if self.form == "kubectl":
            self._read_exec_info(os.environ.get(_EXEC_INFO))
        elif self.form == "git":
            return self._git(_request())
        elif self.form == "docker":
            return self._docker()
        return None

    def text(self, access_token: str, token_type: str, expires_at: "float | None") -> str:
        """Return the output with a token, as complete lines.

        Args:
            access_token: The access token.
            token_type: Its type, such as ``Bearer``.
            expires_at: Unix time at which it expires, or None if unknown.

        Raises:
            FormatError: A token of this kind cannot be used with this format.
        """
        if self.form == "plain":
            return f"{access_token}\n"
        # Formats require four digits for the year; a token that lives longer has no known end.
        known = expires_at is not None and 0 <= expires_at < _YEAR_10000
        end = int(expires_at or 0) if known else None
        expiry = None if end is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        if self.form == "json":
            named = {"AccessToken": access_token, "TokenType": token_type, "Expiration": expiry}
            return _json({"Version": 1, **named})
        if token_type.lower() != "bearer":
            raise FormatError(
                f"--format {self.form} is for bearer tokens, and this token has another type; "
                "use a client library that supports it"
            )
        if not access_token.isascii() or not access_token.isprintable() or " " in access_token:
            raise FormatError(
                f"the token contains characters that --format {self.form} cannot represent"
            )
        if self.form == "header":
            return f"Authorization: Bearer {access_token}\n"
        if self.form == "kubectl":
            status = {"token": access_token, "expirationTimestamp": expiry}
            return _json({"apiVersion": self._api, "kind": "ExecCredential", "status": status})
        username = self._username or USERNAME
        if self.form == "docker":
            return _json({"ServerURL": self._server, "Username": username, "Secret": access_token})
        lines = [f"username={username}", f"password={access_token}"]
        if end is not None:
            lines.append(f"password_expiry_utc={end}")
        return "".join(f"{line}\n" for line in lines)

    def _read_exec_info(self, text: "str | None") -> None:
        """Read the request of kubectl, or of another program that uses client-go."""
        try:
            info: Any = parsed(text.strip()) if text else {}
        except (ValueError, RecursionError):
            info = None
        api = info.get("apiVersion", self._api) if isinstance(info, dict) else None
        if api not in _KUBERNETES:
            raise FormatError(
                f"{_EXEC_INFO} has the apiVersion {api!r:.80}; set apiVersion: {_KUBERNETES[0]} "
                "under exec in the kubeconfig"
            )
        self._api = api
        if self._hosts:
            spec = info.get("spec")
            cluster = spec.get("cluster") if isinstance(spec, dict) else None
            server = cluster.get("server") if isinstance(cluster, dict) else None
            if not isinstance(server, str):
                raise FormatError(
                    "--host needs the address of the cluster; set provideClusterInfo: true under "
                    "exec in the kubeconfig"
                )
            # client-go uses plain http for an address without a scheme and without TLS settings.
            if "://" not in server or not self._may_receive(*_split(server)):
                raise FormatError("the cluster is not one of those in --host")

    def _git(self, request: str) -> "tuple[str, int] | None":
        """See https://git-scm.com/docs/git-credential#IOFMT. Other operations are ignored."""
        parts = [line.partition("=") for line in request.partition("\n\n")[0].split("\n")]
        fields = {name: value for name, equals, value in parts if equals}
        wanted = fields.get("username") or self._username
        if (
            self._operation != "get"
            or wanted != (self._username or wanted)  # another account
            or not self._may_receive(fields.get("protocol", ""), fields.get("host", ""))
        ):
            return "", 0
        self._username = wanted
        return None

    def _docker(self) -> "tuple[str, int] | None":
        """See https://github.com/docker/docker-credential-helpers#development."""
        if self._operation == "list":
            return _json(dict.fromkeys(self._hosts, self._username or USERNAME)), 0
        self._server = _request().strip()
        if self._operation == "get":
            return None if self._may_receive(*_split(self._server)) else (f"{_NOT_FOUND}\n", 1)
        return "grantway does not store passwords; use grantway login and grantway logout\n", 1

    def _may_receive(self, scheme: str, host: str) -> bool:
        """Return whether the token may be sent to a host. Plain http is only for this machine."""
        host = host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ""))
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if scheme != "https" and not (scheme == "http" and name in _LOOPBACK):
            return False
        return host in {each.removesuffix(_DEFAULT_PORTS[scheme]) for each in self._hosts}


def _request() -> str:
    """Return the request on standard input, which may be closed."""
    data = b"" if sys.stdin is None else sys.stdin.buffer.read(_LARGEST_REQUEST)
    return data.decode("utf-8", "replace")


def _is_host(text: str) -> bool:
    return bool(text) and text.isprintable() and not set(text) & set("/@?# ")


def _split(address: str) -> "tuple[str, str]":
    """Return the scheme and the host of an address; the scheme is https by default."""
    scheme, separator, rest = address.rpartition("://")
    return scheme.lower() if separator else "https", rest.partition("/")[0]


def _json(members: "Mapping[str, Any]") -> str:
    """Return one line of JSON, without members that are None."""
    return f"{_encoded(members)}\n"


def _encoded(value: "Any") -> str:
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if each is not None}
        return f"{{{', '.join(f'{_encoded(name)}: {_encoded(kept[name])}' for name in kept)}}}"
    if isinstance(value, int):
        return str(value)
    if PLAIN.issuperset(value):
        return f'"{value}"'
    from json import dumps  # slow to load, and usually not needed

    return dumps(value)
