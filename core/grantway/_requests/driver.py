"""Perform the steps of a call in the calling thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .steps import Result, Wait

if TYPE_CHECKING:
    from grantway._transport.deadline import Deadline
    from grantway._transport.http import HttpResponse, Transport

    from .steps import Steps


def run(steps: Steps[Result], transport: Transport, deadline: Deadline) -> Result:
    """Send the requests and wait, and return the result of the steps.

    Every failure is raised again in the generator, including ``KeyboardInterrupt``, so that
    middleware can clean up.
    """
    try:
        step = next(steps)
        while True:
            received: HttpResponse | bool
            try:
                if isinstance(step, Wait):
                    received = deadline.wait(step.seconds, step.until)
                else:
                    received = transport.send(step, deadline)
            except BaseException as error:  # noqa: BLE001 - raised again in the generator
                failure = error
            else:
                step = steps.send(received)
                continue
            # Outside the except block, so that it does not become the context of other errors.
            step = steps.throw(failure)
    except StopIteration as done:
        result: Result = done.value
        return result
