"""Tasks that programs do not cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def hidden_task(coroutine: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
    """Start a task that is not in ``asyncio.all_tasks()``.

    ``asyncio.run`` and many programs cancel all tasks before they close the loop. They do not know
    this one, so it must end while its starter is waiting for something else.
    """
    # Not loop.create_task: a task factory may run the first step at once, or change the task.
    task = asyncio.Task(coroutine, loop=asyncio.get_running_loop(), name=name)
    # Documented for authors of tasks, in "Extending asyncio".
    asyncio._unregister_task(task)  # noqa: SLF001
    return task
