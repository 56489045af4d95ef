"""The commands that the store sends, for blocking and asynchronous clients of redis-py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import _scripts as scripts


class Commands:
    """The commands of a client. The methods of an asynchronous client return awaitables.

    Args:
        client: The client.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.hget = client.hget
        self.acquire = client.register_script(scripts.ACQUIRE)
        self.extend = client.register_script(scripts.EXTEND)
        self.release = client.register_script(scripts.RELEASE)
        self.change = client.register_script(scripts.CHANGE)

    async def aclose(self) -> None:
        """Close the connections of an asynchronous client."""
        await self.client.aclose()


class Command:
    """A command; its repr does not show the arguments, which may contain a token.

    Args:
        name: The method of ``Commands``.
        arguments: Its arguments.
    """

    __slots__ = ("_arguments", "_name")

    def __init__(self, name: str, *arguments: Any) -> None:
        self._name, self._arguments = name, arguments

    def send(self, commands: Commands) -> Any:
        """Return the result, or an awaitable if the client is asynchronous."""
        return getattr(commands, self._name)(*self._arguments)

    def judge(self, result: Any) -> Any:
        """Return the result for the store, or raise the server's error."""
        return result


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The confirmation that a save waits for.

    Attributes:
        on_disk: Whether the change must be on disk.
        replicas: Number of replicas that must have it.
        milliseconds: Longest wait.
    """

    on_disk: bool
    replicas: int
    milliseconds: int

    def __bool__(self) -> bool:
        return self.on_disk or self.replicas > 0

    def missing(self, confirmed: Any) -> str:
        """Return what is missing in the server's response, if anything."""
        primary, replicas = confirmed if self.on_disk else (1, confirmed)
        if not primary:
            return "it was not written to its disk"
        if replicas < self.replicas:
            return f"only {replicas} of {self.replicas} replicas confirmed it"
        return ""


class ConfirmedChange(Command):
    """A change that waits for a confirmation; the result is that of ``change`` and what is missing.

    Args:
        confirmation: The confirmation.
        name: Name of the Redis key.
        arguments: The arguments of ``change``.
    """

    __slots__ = ("_confirmation",)

    def __init__(self, confirmation: Confirmation, name: bytes, arguments: list[Any]) -> None:
        super().__init__("change", [name], arguments)
        self._confirmation = confirmation

    def send(self, commands: Commands) -> Any:
        """Send both commands over one connection, because WAIT covers only its own writes."""
        keys, arguments = self._arguments
        confirmation = self._confirmation
        pipeline = commands.client.pipeline(transaction=False)
        pipeline.eval(scripts.CHANGE, 1, *keys, *arguments)
        if confirmation.on_disk:
            pipeline.execute_command("WAITAOF", 1, confirmation.replicas, confirmation.milliseconds)
        else:
            pipeline.execute_command("WAIT", confirmation.replicas, confirmation.milliseconds)
        # An error raised by the pipeline would quote the record.
        return pipeline.execute(raise_on_error=False)

    def judge(self, result: Any) -> tuple[Any, str]:
        """See ``Command.judge``."""
        for each in result:
            if isinstance(each, Exception):
                raise each
        changed, confirmed = result
        return changed, self._confirmation.missing(confirmed)
