"""Secrets in environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass

from grantway._exceptions import SecretUnavailableError
from grantway._types.secret_source import Secret


@dataclass(frozen=True, slots=True)
class EnvironmentSecret:
    """``env``: the current value of an environment variable.

    Attributes:
        name: The name of the variable.
    """

    name: str

    def version(self) -> object:
        """Return the value, so that a program may change the variable."""
        return os.environ.get(self.name)

    def read(self) -> Secret:
        """Return the value.

        Raises:
            SecretUnavailableError: The variable is not set, or empty.
        """
        value = os.environ.get(self.name)
        if value:
            return Secret(value)
        problem = "is not set; set it" if value is None else "is empty; set it to the secret"
        raise SecretUnavailableError(f"the environment variable {self.name} {problem}")
