"""``grantway new-plugin``: create a package with a plugin and its tests."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from grantway import Grant, GrantInvalidError, GrantSchema, Text, __version__, build_registry
from grantway._plugins.grant_rules import check_grant
from grantway_plugins._paths import expand

#: A folder for each kind of plugin, and one with the files of every package. Their names are
#: replaced with those of the new package.
TEMPLATE = Path(__file__).with_name("template")
#: Kind of plugin -> description of the package.
KINDS = {
    "grant": "A grant for grantway that exchanges example_parameter for a token.",
    "store": "A token store for grantway.",
    "auth": "A client authentication method for grantway.",
    "middleware": "Middleware and an observer for grantway.",
}
_FILES = {".md", ".py", ".toml", ".typed"}
#: Longest name, grant type and parameter, in characters, that keep the lines of the template within
#: 100 columns.
LONGEST = 40
LONGEST_GRANT_TYPE = 80
LONGEST_PARAMETER = 21
_VALID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN = {*sys.stdlib_module_names, "grantway", "grantway_grants", "grantway_plugins", "tests"}
_GRANT_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:/._~?#&=+%-]*")
_PARAMETER = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class NewPlugin:
    """A package to create.

    Attributes:
        name: Name of the distribution.
        kind: Kind of plugin, one of ``KINDS``.
        grant_type: The grant type of a grant; by default made of the name.
        parameter: The parameter that a grant exchanges for a token.

    Raises:
        ClickException: An attribute is invalid; the message suggests a valid one.
    """

    name: str
    kind: str = "grant"
    grant_type: str = ""
    parameter: str = "code"

    def __post_init__(self) -> None:
        module_of(self.name)
        if self.kind == "grant":
            _check_grant(self.grant_type, self.parameter)

    def files(self) -> Iterator[tuple[Path, str]]:
        """Yield the path and text of each file."""
        module = module_of(self.name)
        replaced = {
            "example-description": KINDS[self.kind],
            "urn:example:grant-type": self.grant_type or f"urn:example:{self.name}",
            "example_parameter": self.parameter,
            "example-plugin": self.name,
            "example_plugin": module,
            "grantway>=0.1.0": f"grantway>={__version__}",
            "grantway[testing]>=0.1.0": f"grantway[testing]>={__version__}",
        }
        for folder in (TEMPLATE / "common", TEMPLATE / self.kind):
            for path in sorted(folder.rglob("*")):
                if path.suffix in _FILES and path.is_file():
                    text = path.read_text(encoding="utf-8")
                    for placeholder, value in replaced.items():
                        text = text.replace(placeholder, value)
                    where = path.relative_to(folder).as_posix().replace("example_plugin", module)
                    yield Path(where), text

    def write(self, folder: Path) -> list[Path]:
        """Write the package.

        Args:
            folder: Folder to create. It may exist if it is empty.

        Returns:
            Paths of the files, relative to the folder.

        Raises:
            ClickException: The folder cannot be used.
        """
        made = sorted(self.files())
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
            f"choose another name, such as {name}-plugin."
        )
    return module


def _check_grant(grant_type: str, parameter: str) -> None:
    """Reject a grant type or parameter that the template cannot contain or grantway rejects."""
    if grant_type and (
        not _GRANT_TYPE.fullmatch(grant_type) or len(grant_type) > LONGEST_GRANT_TYPE
    ):
        raise click.ClickException(
            f"--grant-type {grant_type!r}: use a URN or URL of at most {LONGEST_GRANT_TYPE} "
            "characters, such as urn:acme:coupon."
        )
    if grant_type in build_registry(only=["grantway"]).grants:
        raise click.ClickException(
            f"--grant-type {grant_type!r}: grantway already has this grant; choose another type, "
            "such as urn:acme:coupon."
        )
    if (
        not _PARAMETER.fullmatch(parameter)
        or len(parameter) > LONGEST_PARAMETER
        or keyword.iskeyword(parameter)
        or parameter == "scope"
    ):
        raise click.ClickException(
            f"--parameter {parameter!r}: use lower-case letters, digits and single underscores, "
            f"beginning with a letter, at most {LONGEST_PARAMETER} characters, such as voucher."
        )
    schema = GrantSchema.from_dict({parameter: Text(example='"value-1"')})
    try:
        check_grant(Grant("urn:example:new", schema()))
    except GrantInvalidError as invalid:
        raise click.ClickException(f"--parameter {parameter!r}: {invalid.message}") from None


@click.command(name="new-plugin")
@click.argument("name")
@click.option("--store", "kind", flag_value="store", help="Create a token store.")
@click.option("--auth", "kind", flag_value="auth", help="Create client authentication.")
@click.option(
    "--middleware", "kind", flag_value="middleware", help="Create middleware and an observer."
)
@click.option("--grant-type", default="", help="The grant type.", show_default="urn:example:NAME")
@click.option(
    "--parameter",
    default="code",
    show_default=True,
    help="The parameter that the grant exchanges for a token.",
)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="this folder",
    help="Folder in which to create the package folder.",
)
@click.pass_context
def command(
    context: click.Context,
    name: str,
    *,
    kind: str | None,
    grant_type: str,
    parameter: str,
    into: Path,
) -> None:
    """Create a Python package called NAME with a new plugin.

    The package contains a grant with its issuer side, or another kind of plugin, passing tests and
    a README.
    """
    for option in ("grant_type", "parameter"):
        if kind and context.get_parameter_source(option) is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"--{option.replace('_', '-')} is for a grant; leave it out with --{kind}."
            )
    plugin = NewPlugin(name, kind or "grant", grant_type, parameter)
    folder = Path(expand(into, "--into to an absolute path")) / name
    for path in plugin.write(folder):
        click.echo(folder / path)
    click.echo(f"\nNext:\n  cd {folder}\n  pip install -e '.[test]'\n  pytest")
