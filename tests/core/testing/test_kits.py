"""The public test classes find mistakes.

Each class in the modules ``broken_*`` inherits a public test class, has an implementation with one
mistake, and lists in ``fails`` the tests that find it. One pytest in this process runs these tests.
"""

from __future__ import annotations

import inspect
import traceback
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from grantway import testing

HERE = Path(__file__).parent
MODULES = (
    "broken_client_auth",
    "broken_dialects",
    "broken_durable_stores",
    "broken_middleware",
    "broken_observers",
    "broken_secret_sources",
    "broken_stores",
    "broken_transports",
)
#: The public test classes.
KITS = {
    name: kit
    for name in testing.__all__
    if inspect.isclass(kit := getattr(testing, name)) and name.endswith("Tests")
}
CASES: dict[str, Any] = {
    f"{module}-{name}": case
    for module in MODULES
    for name, case in vars(import_module(f"tests.core.testing.{module}")).items()
    if name.startswith(("Broken", "Correct"))
}


class Run:
    """A pytest plugin: select the tests that should fail, and collect those that do."""

    def __init__(self) -> None:
        self.failed: dict[str, set[str]] = defaultdict(set)
        self.errors: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [each for each in items if self._selected(each)]

    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> pytest.TestReport:
        """Report without the traceback, which would take longer than the test."""
        if call.excinfo is None:
            outcome: Any = "passed"
        else:
            outcome = "failed"
            path, name, test = item.nodeid.split("::", 2)
            if call.when == "call":
                self.failed[f"{Path(path).stem}-{name}"].add(test.partition("[")[0])
            else:
                self.errors.append("".join(traceback.format_exception(call.excinfo.value)))
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, call.when)

    def _selected(self, item: Any) -> bool:
        return not item.cls.fails or item.originalname in item.cls.fails


@pytest.mark.slow
def test_each_mistake_is_found(tmp_path: Path) -> None:
    run = Run()
    disabled = ("terminal", "cacheprovider", "xdist", "hypothesispytest")
    status = pytest.main(
        [
            *(str(HERE / f"{module}.py") for module in MODULES),
            "--noconftest",
            f"--basetemp={tmp_path / 'broken'}",
            *(option for name in disabled for option in ("-p", f"no:{name}")),
            *("-o", "addopts=--import-mode=importlib"),
            *("-o", "python_classes=Broken Correct"),
        ],
        plugins=[run],
    )
    assert (run.errors, status) == ([], pytest.ExitCode.TESTS_FAILED)
    assert run.failed == {name: case.fails for name, case in CASES.items() if case.fails}


@pytest.mark.parametrize("kit", KITS)
def test_every_test_of_a_kit_finds_a_mistake(kit: str) -> None:
    found = {test for case in CASES.values() if issubclass(case, KITS[kit]) for test in case.fails}
    assert {name for name in dir(KITS[kit]) if name.startswith("test_")} <= found
