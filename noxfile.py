"""Checks in environments of their own: ``nox`` runs all, ``nox -s tests-3.13`` one."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"

#: A version has a classifier in ``pyproject.toml`` once all tests have passed on it.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: The oldest supported version. mypy and pyright check against it.
OLDEST = PYTHONS[0]
#: Options of pytest that suit two cores.
PARALLEL = ("-n", "4", "--dist", "worksteal")


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
    session.run("coverage", "run", "-m", "pytest", "-q", *(session.posargs or PARALLEL))
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")
