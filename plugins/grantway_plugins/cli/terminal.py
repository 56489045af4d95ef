"""Lines and tables on standard output, without control characters from providers."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from grantway._secrets.redaction import harmless, visible

#: Text, or text with a rich style.
Part = str | tuple[str, str]
_GAP = 2


class Terminal:
    """Prints lines and tables, without wrapping or truncating them.

    Args:
        quiet: Print nothing.

    Attributes:
        console: Console to print to.
        interactive: Whether standard output is a terminal on which lines can be redrawn.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Characters that the locale's encoding lacks must not raise an error.
            sys.stdout.reconfigure(errors="replace")
        self.console = Console(highlight=False, soft_wrap=True, quiet=quiet)
        # console.is_terminal is also true in a pipe if FORCE_COLOR is set.
        self.interactive = sys.stdout.isatty() and not self.console.is_dumb_terminal

    def line(self, *parts: Part) -> None:
        """Print the parts as one line, without control characters."""
        self.console.print(_text(parts))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Part]]) -> None:
        """Print a table with one line per row, or one block per row on a narrow terminal."""
        shown = [[_cell(each) for each in row] for row in rows]
        widths = [
            max(cell_len(each.plain) for each in column)
            for column in zip(map(Text, columns), *shown, strict=True)
        ]
        if self.interactive and sum(widths) + _GAP * (len(widths) - 1) > self.console.width:
            self._blocks(columns, shown)
            return
        for row in ([Text(each, style="bold") for each in columns], *shown):
            line = Text()
            for cell, width in zip(row, widths, strict=True):
                line.append_text(cell).append(" " * (width - cell_len(cell.plain) + _GAP))
            line.rstrip()
            self.console.print(line)

    def _blocks(self, columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
        indent = max(map(len, columns)) + _GAP
        for first, *others in rows:
            self.console.print(first)
            for name, cell in zip(columns[1:], others, strict=True):
                self.console.print(Text(f"  {name:{indent}}", style="dim").append_text(cell))


def _text(parts: Sequence[Part]) -> Text:
    line = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        line.append(harmless(text), style=style)
    return line


def _cell(part: Part) -> Text:
    text, style = (part, "") if isinstance(part, str) else part
    return Text(visible(text), style=style)
