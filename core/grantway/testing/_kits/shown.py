"""The text in which a test looks for secrets."""

from __future__ import annotations

import traceback


class ShownErrors:
    """Checks of errors for secrets.

    Attributes:
        check_locals: Whether the local variables of the frames of an error must show no secret
            either. Tools such as rich, Sentry and ``pytest --showlocals`` print them.
    """

    check_locals = False

    def shown(self, error: BaseException) -> str:
        """Return the whole chain of an error: what it shows in a log."""
        text = "".join(traceback.format_exception(error))
        frames = shown_locals(error, type(self).__module__) if self.check_locals else []
        return "\n".join([text, *frames])


def shown_locals(error: BaseException, test_module: str) -> list[str]:
    """Return the local variables in the frames of an error and its causes, outside the tests."""
    roots = (f"{__package__}.", f"{test_module.partition('.')[0]}.")
    found = []
    current: BaseException | None = error
    while current is not None:
        found.append(repr(current))
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if not f"{frame.f_globals['__name__']}.".startswith(roots):
                found += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
        current = current.__cause__ or current.__context__
    return found
