"""The commands that the store sends, and how many servers must confirm a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .location import Node


class Call:
    """Commands for one server, sent over one connection; its repr shows no arguments.

    Args:
        node: The server.
        commands: The words of each command, which may contain a token.
    """

    __slots__ = ("_commands", "node")

    def __init__(self, node: Node, *commands: list[Any]) -> None:
        self.node, self._commands = node, commands

    def send(self, client: Any) -> Any:
        """Return the response, or an awaitable if the client is asynchronous; see ``results``.

        A pipeline returns errors as results, because the ones that it raises quote the record.
        """
        if len(self._commands) == 1:  # quicker than a pipeline
            return client.execute_command(*self._commands[0])
        pipeline = client.pipeline(transaction=False)
        for words in self._commands:
            pipeline.execute_command(*words)
        return pipeline.execute(raise_on_error=False)

    def results(self, response: Any) -> list[Any]:
        """Return the result of each command."""
        return [response] if len(self._commands) == 1 else response


class Command:
    """A command for one key.

    Args:
        name: The key's name on the server.
        words: The words of the command.
        confirm: Commands that wait for the confirmation of a change; see ``Confirmation``.
        patience: Longest time in seconds to repeat the command during a failover; None uses the
            store's limit.
        reads: Whether the command only reads. A former primary would still execute it.
        fence_at: Index of the key's fence in the result of a command that reads. The server must
            know the lock that this process holds.
    """

    __slots__ = ("confirm", "fence_at", "name", "patience", "reads", "words")

    def __init__(
        self,
        name: bytes,
        words: list[Any],
        *,
        confirm: Confirmation | None = None,
        patience: float | None = None,
        reads: bool = False,
        fence_at: int | None = None,
    ) -> None:
        self.name, self.words, self.reads = name, words, reads
        self.confirm, self.patience, self.fence_at = confirm or None, patience, fence_at


def script(code: str, name: bytes, *arguments: Any) -> list[Any]:
    """Return the words that run a script for one key."""
    return ["EVAL", code, 1, name, *arguments]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The confirmation that a change waits for; false if it waits for none.

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

    @property
    def words(self) -> list[Any]:
        """The command that waits. It covers only earlier writes of this connection."""
        if self.on_disk:
            return ["WAITAOF", 1, self.replicas, self.milliseconds]
        return ["WAIT", self.replicas, self.milliseconds]

    def missing(self, confirmed: Any) -> str:
        """Return what is missing in the server's response, if anything."""
        primary, replicas = confirmed if self.on_disk else (1, confirmed)
        if not primary:
            return "it was not written to its disk"
        if replicas < self.replicas:
            return f"only {replicas} of {self.replicas} replicas confirmed it"
        return ""
