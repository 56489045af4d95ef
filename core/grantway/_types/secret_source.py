"""Secrets that are read when they are needed, and the contract of their sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from grantway._exceptions import ConfigurationError
from grantway._processes.copies import OneProcess
from grantway._secrets.hidden_arguments import hides_construction

from .callables import is_async, kind_of
from .quantity import finite


@hides_construction
@dataclass(frozen=True, slots=True)
class Secret(OneProcess):
    """A secret that a source returns. The repr hides the value, and pickling is rejected.

    Attributes:
        value: The secret; not empty.
        expires_at: Unix time at which the source must be read again, or None if it is unknown.

    Raises:
        ConfigurationError: An argument is invalid; the message does not contain the value.
    """

    stays = "it is a secret; read its source in the process that uses it"

    value: str = field(repr=False)
    expires_at: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.value, str) or not self.value:
            raise _invalid("value", "must be a non-empty string")
        if self.expires_at is not None and finite(self.expires_at) is None:
            raise _invalid("expires_at", "must be a Unix time in seconds, or None")

    def __str__(self) -> str:
        return repr(self)


def _invalid(name: str, rule: str) -> ConfigurationError:
    return ConfigurationError(f"Secret.{name}: {rule}.", errors={name: [rule]})


class SecretSource(Protocol):
    """Supplies a secret, such as a client secret, a client assertion or a grant's parameter.

    grantway reads a source when it needs the secret, once for all threads and tasks that wait for
    it, and keeps the result until it expires or until the provider rejects it.

    A source may have an additional method, ``version()``. It is called for every use of the secret,
    must not block, and returns a value that differs when the secret may have changed, such as the
    modification time of a file. grantway then reads the source again.

    A source of a parameter may have an additional attribute, ``single_use = True``, if the provider
    accepts each value once, such as a signature of a nonce. grantway then reads it for each send,
    retries included, and no two calls get the same value.
    """

    def read(self) -> Secret:
        """Return the current secret. Called in a thread that may block.

        The source must limit the time that this takes.

        Raises:
            SecretUnavailableError: The secret cannot be read; says where, why and what to do. The
                message must not contain a secret. Of other exceptions, only the type is shown.
        """
        ...


def problem_of(source: object) -> str:
    """Return why an object cannot be used as a secret source; empty if it can."""
    if source is None or isinstance(source, type):
        return f"is {kind_of(source)}"
    read = getattr(source, "read", None)
    if not callable(read):
        return "has no method read"
    for name in ("read", "version"):
        if is_async(getattr(source, name, None)):
            return f"has an asynchronous method {name}, and grantway calls it in a thread"
    return ""


#: Creates a secret source from keyword options.
SecretSourceFactory = Callable[..., SecretSource]
