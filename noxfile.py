"""Checks in separate environments: ``nox`` runs all, ``nox -s tests-3.13`` one."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"

#: Add the classifier of a new version to ``pyproject.toml`` only after its session passes.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: The oldest supported version. mypy and pyright check against it.
OLDEST = PYTHONS[0]
#: Options of pytest that suit two cores.
PARALLEL = ("-n", "4", "--dist", "worksteal")
#: It traces the lines of a program itself, which the tracer of coverage prevents.
UNTRACED = (
    "tests/plugins/stores/test_file_faults.py"
    "::test_a_writer_killed_at_any_line_leaves_a_complete_token"
)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests. Arguments after ``--`` replace the default options."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", *(session.posargs or PARALLEL))


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Check style, formatting and imports."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session(python=OLDEST)
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("pyright", "--pythonpath", f"{session.bin}/python")


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """Build the site; warnings are errors."""
    session.install("-e", ".[docs]")
    session.run("mkdocs", "build", "--strict", "--quiet")


@nox.session(python=OLDEST)
def coverage(session: nox.Session) -> None:
    """Measure branch coverage, including that of the programs that the tests start."""
    session.install("-e", ".[dev]")
    session.run("coverage", "erase")
    options = (*(session.posargs or PARALLEL), f"--deselect={UNTRACED}")
    session.run("coverage", "run", "-m", "pytest", "-q", *options)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=OLDEST)
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel into ``dist/``, and check them in a new environment."""
    session.install("build", "twine", "uv")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--installer", "uv")
    files = [str(path) for path in sorted(Path("dist").iterdir())]
    session.run("twine", "check", "--strict", *files)
    (wheel,) = (path for path in files if path.endswith(".whl"))
    clean = f"{session.virtualenv.location}/wheel"
    session.run("uv", "venv", "--quiet", "--clear", clean)
    session.run("uv", "pip", "install", "--quiet", "--python", clean, f"{wheel}[all]")
    session.run("uv", "pip", "check", "--python", clean)
    session.run(f"{clean}/bin/grantway", "demo", external=True)
