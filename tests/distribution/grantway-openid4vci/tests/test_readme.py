"""The README's examples run, and print what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for kind, code in re.findall(r"^```(python|text)\n(.*?)^```", README, re.DOTALL | re.MULTILINE):
        if kind == "python":
            exec(compile(code, "README.md", "exec"), names)
        else:
            assert capsys.readouterr().out == code
