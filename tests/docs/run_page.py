"""Run all examples of one page in order: ``python -W error run_page.py PAGE ISSUER``.

See ``test_examples.py`` for the rules of the examples.
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
    """The program that a page's examples form.

    Args:
        issuer: Address of the issuer that replaces the default address.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        # The examples run as the module __main__, so that pickle finds their classes by name.
        self._program, self._ours = ModuleType("__main__"), sys.modules["__main__"]
        sys.modules["__main__"] = self._program
        self._namespace = vars(self._program)

    def run(self, page: Path) -> None:
        """Run a page's blocks.

        Raises:
            AssertionError: The output differs from the output on the page.
        """
        printed = io.StringIO()
        for block in blocks(page):
            text = block.code.replace(DEFAULT_ISSUER, self._issuer)
            if block.runs:
                # The blank lines make tracebacks show the page's line numbers.
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
        raise AssertionError(f"{where}: different output\n" + "\n".join(difference))


if __name__ == "__main__":
    # Pages may demonstrate failing plugins, which grantway logs. Warnings remain errors.
    logging.getLogger("grantway").addHandler(logging.NullHandler())
    _page = Path(sys.argv[1]).resolve()
    _run = Page(sys.argv[2])
    for _each in (*preamble(_page), _page):
        _run.run(_each)
