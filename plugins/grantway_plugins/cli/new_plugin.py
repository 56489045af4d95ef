"""``grantway new-plugin``: create a package with a grant, its issuer side and tests."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from grantway import __version__
from grantway_plugins._paths import expand

#: Package to copy. Its names are replaced with those of the new package.
TEMPLATE = Path(__file__).with_name("template")
_NAME, _MODULE, _VERSION = "example-grant", "example_grant", "grantway>=0.1.0"
_KINDS = {".md", ".py", ".toml", ".typed"}
#: Longest name, in characters, that keeps the lines of the template within 100 columns.
LONGEST = 40
_VALID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN = {*sys.stdlib_module_names, "grantway", "grantway_grants", "grantway_plugins", "tests"}


def module_of(name: str) -> str:
    """Return the name of a distribution's import package.

    Raises:
        ClickException: The name is invalid; the message suggests a valid one.
    """
    if not _VALID.fullmatch(name) or len(name) > LONGEST:
        similar = "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:LONGEST].strip("-0123456789")
        hint = f", such as {similar}" if _VALID.fullmatch(similar) else ", such as acme-coupons"
        raise click.ClickException(
            f"NAME {name!r}: use lower-case letters, digits and single hyphens, beginning with a "
            f"letter, at most {LONGEST} characters{hint}."
        )
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in _TAKEN:
        raise click.ClickException(
            f"NAME {name!r}: Python or grantway already has a module called {module}; "
            f"choose another name, such as {name}-grant."
        )
    return module


def files(name: str) -> Iterator[tuple[Path, str]]:
    """Yield the path and text of each file of a new package.

    Raises:
        ClickException: The name is invalid.
    """
    module = module_of(name)
    for path in sorted(TEMPLATE.rglob("*")):
        if path.suffix in _KINDS and path.is_file():
            text = path.read_text(encoding="utf-8").replace(_VERSION, f"grantway>={__version__}")
            where = path.relative_to(TEMPLATE).as_posix().replace(_MODULE, module)
            yield Path(where), text.replace(_NAME, name).replace(_MODULE, module)


def write(folder: Path, name: str) -> list[Path]:
    """Write a new package.

    Args:
        folder: Folder to create. It may exist if it is empty.
        name: Name of the distribution.

    Returns:
        Paths of the files, relative to the folder.

    Raises:
        ClickException: The name is invalid, or the folder cannot be used.
    """
    made = list(files(name))  # check the name before writing the first file
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise click.ClickException(
                f"{folder} already exists and is not empty; nothing was changed. "
                "Choose another NAME, or another folder with --into."
            )
        for path, text in made:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
    except OSError as failed:
        raise click.ClickException(f"Cannot write {folder}: {failed.strerror}.") from None
    return [path for path, _ in made]


@click.command(name="new-plugin")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="this folder",
    help="Folder in which to create the package folder.",
)
def command(name: str, into: Path) -> None:
    """Create a Python package called NAME with a new grant.

    The package contains the grant, its issuer side, passing tests and a README.
    """
    folder = Path(expand(into, "--into to an absolute path")) / name
    for path in write(folder, name):
        click.echo(folder / path)
    click.echo(f"\nNext:\n  cd {folder}\n  pip install -e '.[test]'\n  pytest")
