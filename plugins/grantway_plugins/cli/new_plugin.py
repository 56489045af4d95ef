"""``grantway new-plugin``: a package with a grant at both ends, and tests that pass."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from grantway import __version__
from grantway_plugins.paths import expand

#: The package that is written, as it is. Its names stand for those of the new one.
TEMPLATE = Path(__file__).with_name("template")
_NAME, _MODULE, _VERSION = "example-grant", "example_grant", "grantway>=0.1.0"
_KINDS = {".md", ".py", ".toml", ".typed"}
#: Longest name with which every line of the template still fits.
LONGEST = 40
_VALID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN = {*sys.stdlib_module_names, "grantway", "grantway_grants", "grantway_plugins", "tests"}


def module_of(name: str) -> str:
    """The import package of a distribution.

    Raises:
        ClickException: the name cannot be one; says what could.
    """
    if not _VALID.fullmatch(name) or len(name) > LONGEST:
        near = "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:LONGEST].strip("-0123456789")
        hint = f", such as {near}" if _VALID.fullmatch(near) else ", such as acme-coupons"
        raise click.ClickException(
            f"NAME {name!r}: use lower-case letters, digits and single hyphens, beginning with a "
            f"letter, at most {LONGEST} characters{hint}."
        )
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in _TAKEN:
        raise click.ClickException(
            f"NAME {name!r}: Python or grantway has a module {module} already; "
            f"take another, such as {name}-grant."
        )
    return module


def files(name: str) -> Iterator[tuple[Path, str]]:
    """The files of a new package: path within it, and text.

    Raises:
        ClickException: the name cannot be one.
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
        folder: Where; made if it is not there, and refused if anything is in it.
        name: The distribution's name.

    Returns:
        The files, within the folder.

    Raises:
        ClickException: the name cannot be one, or the folder cannot be used.
    """
    made = list(files(name))  # all that can be wrong with the name comes before the first file
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise click.ClickException(
                f"{folder} is not empty, and nothing in it was touched. "
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
    help="Folder in which the package's own folder is made.",
)
def command(name: str, into: Path) -> None:
    """Make a package with a grant of your own, in a folder called NAME.

    It has the grant, the issuer's side of it, tests that pass, and a README. Change it from there.
    """
    folder = Path(expand(into, "--into to an absolute path")) / name
    for path in write(folder, name):
        click.echo(folder / path)
    click.echo(f"\nNext:\n  cd {folder}\n  pip install -e '.[test]'\n  pytest")
