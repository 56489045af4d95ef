"""Runs the examples of one page in one namespace, as a reader would who types them all in.

It is a program of its own: ``python -W error run_page.py PAGE``. What the blocks print is compared
with the blocks titled "Output", in which ``...`` stands for anything.
"""

from __future__ import annotations

import contextlib
import difflib
import doctest
import io
import linecache
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pages import blocks, name_of


def run(page: Path) -> None:
    """Run a page's blocks.

    Raises:
        AssertionError: a block printed something else than the page shows.
    """
    name = name_of(page)
    linecache.checkcache(str(page))
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = io.StringIO()
    for block in blocks(page):
        if block.runs:
            # Blank lines in front make a traceback show the line of the page.
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
            with contextlib.redirect_stdout(printed):
                exec(code, namespace)
        elif block.is_output:
            shown, got = block.code.rstrip(), printed.getvalue().rstrip()
            printed = io.StringIO()
            if not doctest.OutputChecker().check_output(
                f"{shown}\n", f"{got}\n", doctest.ELLIPSIS
            ):
                difference = "\n".join(
                    difflib.unified_diff(
                        shown.splitlines(), got.splitlines(), "the page", "printed", lineterm=""
                    )
                )
                raise AssertionError(f"{name}:{block.line}: another output\n{difference}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
