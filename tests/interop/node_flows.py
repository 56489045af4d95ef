"""Flows of client libraries for Node against an issuer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.interop import node_packages
from tests.interop.program import STARTUP_SECONDS, Program


class FlowFailedError(Exception):
    """The library raised an exception; the message contains its code and text."""


class NodeFlows:
    """A Node process that runs the flows of one module in ``tests/interop/node``.

    Args:
        module: Name of the module.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        node_packages.install()
        command: list[str | Path] = [node_packages.NODE, "flows.mjs", f"./{self._module}"]
        with contextlib.ExitStack() as exits:
            self._program = exits.enter_context(Program(command, cwd=node_packages.FOLDER))
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

    def run(
        self, flow: str, *, visit: Callable[[str], str | None] | None = None, **parameters: Any
    ) -> Any:
        """Run a flow and return its result.

        Args:
            flow: Name of the flow.
            visit: Opens a page as the user, and returns the redirect to the client, if any.
            **parameters: Parameters of the flow.

        Raises:
            FlowFailedError: the library raised an exception.
        """
        self._program.write_json({"flow": flow, **parameters})
        while "visit" in (answer := self._program.read_json()):
            assert visit is not None, answer
            callback = visit(answer["visit"])
            self._program.write_json({"callback": callback or answer["visit"]})
        if "error" in answer:
            raise FlowFailedError(f"{answer['error'].get('code')}: {answer['error']['message']}")
        return answer["result"]
