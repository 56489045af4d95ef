"""Docstrings announce an example by ``::``, which Markdown does not know."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ALONE = re.compile(r"^::\n", re.MULTILINE)
_BEHIND_TEXT = re.compile(r"::$", re.MULTILINE)


class LiteralBlocks(griffe.Extension):
    """Leaves the indentation to say that a block is code."""

    def on_instance(self, *, obj: griffe.Object, **_more: Any) -> None:
        """Read one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = _BEHIND_TEXT.sub(":", _ALONE.sub("", obj.docstring.value))
