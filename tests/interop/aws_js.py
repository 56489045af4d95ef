"""A Python wrapper for the AWS SDK for JavaScript."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from types import TracebackType
from typing import Any, Literal, Self

from tests.interop import node_packages
from tests.interop.program import STARTUP_SECONDS, Program


class AwsJsError(Exception):
    """An error that the SDK threw.

    Attributes:
        name: The error's ``name``, such as ``InvalidGrantException``.
        class_name: Name of the error's class.
        is_instance: Whether the error is an instance of the class that the SDK exports.
        error: OAuth error code.
        error_description: OAuth error description.
        reason: AWS's reason, if the error has one.
        status: HTTP status, or None if there was no response.
        attempts: Number of requests that the SDK sent.
    """

    def __init__(self, thrown: dict[str, Any]) -> None:
        super().__init__(f"{thrown['name']}: {thrown['message']}")
        self.name: str = thrown["name"]
        self.message: str = thrown["message"]
        self.class_name: str = thrown["className"]
        self.is_instance: bool = thrown["isInstance"]
        self.error: str | None = thrown.get("error")
        self.error_description: str | None = thrown.get("error_description")
        self.reason: str | None = thrown.get("reason")
        self.status: int | None = thrown.get("status")
        self.attempts: int | None = thrown.get("attempts")


class AwsJsClient:
    """A Node process with a client of the SDK, which handles one call at a time.

    Args:
        endpoint: Address of the service; None if each call specifies it.
        max_attempts: Maximum number of requests per call.
        service: Name of the service, ``sso-oidc`` or ``sso``.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        max_attempts: int = 1,
        service: Literal["sso-oidc", "sso"] = "sso-oidc",
    ) -> None:
        self._service = service
        self._endpoint = endpoint
        self._max_attempts = max_attempts
        self._ids = itertools.count(1)
        self._turn = threading.Lock()
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        node_packages.install()
        script = node_packages.FOLDER / "aws_client.mjs"
        # Remove the user's AWS settings, which could change retries and more.
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        with contextlib.ExitStack() as exits:
            names = f"@aws-sdk/client-{self._service}", self._service.replace("-", "").upper()
            self._program = exits.enter_context(
                Program([node_packages.NODE, script, *names], env=env)
            )
            self._program.read_json(STARTUP_SECONDS)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exits.close()

    def call(
        self,
        command: str,
        parameters: dict[str, Any],
        *,
        endpoint: str | None = None,
        max_attempts: int | None = None,
    ) -> dict[str, Any]:
        """Send one command, such as ``CreateToken``.

        Raises:
            AwsJsError: The SDK threw.
        """
        with self._turn:
            call_id = next(self._ids)
            self._program.write_json(
                {
                    "id": call_id,
                    "endpoint": endpoint or self._endpoint,
                    "maxAttempts": max_attempts or self._max_attempts,
                    "command": command,
                    "input": parameters,
                }
            )
            response = self._program.read_json()
        assert response["id"] == call_id, response
        if not response["ok"]:
            raise AwsJsError(response["error"])
        return response["output"]
