"""Runs the examples of one page, as a reader would who types them all in.

It is a program of its own: ``python -W error run_page.py PAGE ISSUER``. What a page may rely on is
told in ``test_examples.py``.
"""

from __future__ import annotations

import contextlib
import difflib
import doctest
import io
import logging
import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parent))

from pages import DEFAULT_ISSUER, blocks, name_of, preamble


class Page:
    """A page whose examples are run.

    Args:
        issuer: The address of the issuer that stands in for the one at its default address.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        # What is typed in is the program, so that its classes can be found again by their names.
        self._program, self._ours = ModuleType("__main__"), sys.modules["__main__"]
        sys.modules["__main__"] = self._program
        self._namespace = vars(self._program)

    def run(self, page: Path) -> None:
        """Run a page's blocks.

        Raises:
            AssertionError: they printed something else than the page shows.
        """
        printed = io.StringIO()
        for block in blocks(page):
            text = block.code.replace(DEFAULT_ISSUER, self._issuer)
            if block.runs:
                # Blank lines in front make a traceback show the line of the page.
                code = compile("\n" * (block.line - 1) + text, str(page), "exec")
                with contextlib.redirect_stdout(printed):
                    exec(code, self._namespace)
            elif block.is_output:
                _compare(text, printed.getvalue(), f"{name_of(page)}:{block.line}")
                printed = io.StringIO()


def _compare(shown: str, printed: str, where: str) -> None:
    shown, printed = shown.rstrip() + "\n", printed.rstrip() + "\n"
    if not doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS):
        difference = difflib.unified_diff(
            shown.splitlines(), printed.splitlines(), "the page", "printed", lineterm=""
        )
        raise AssertionError(f"{where}: another output\n" + "\n".join(difference))


if __name__ == "__main__":
    # A page may show a plugin that fails on purpose, which grantway logs. Warnings still count.
    logging.getLogger("grantway").addHandler(logging.NullHandler())
    _page = Path(sys.argv[1]).resolve()
    _run = Page(sys.argv[2])
    for _each in (*preamble(_page), _page):
        _run.run(_each)
