"""Parse ``~/.aws/config`` by the rules of the AWS tools, without botocore."""

from __future__ import annotations

import configparser
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from grantway._exceptions import ConfigurationError
from grantway_plugins._paths import expand

_Section = Mapping[str, str]
#: Keys to drop. Nothing here needs them, and error reports with locals would show them.
_CREDENTIALS = frozenset(
    {"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token"}
)


@dataclass(frozen=True, slots=True)
class Sections:
    """The sections of a configuration file, by their names.

    Attributes:
        path: Path of the file.
        sessions: ``[sso-session NAME]``.
        profiles: ``[profile NAME]``, and ``[default]``.
        services: ``[services NAME]``.
        others: All other sections; in ``~/.aws/credentials`` these are the profiles.
    """

    path: Path
    sessions: dict[str, _Section] = field(default_factory=dict, repr=False)
    profiles: dict[str, _Section] = field(default_factory=dict, repr=False)
    services: dict[str, _Section] = field(default_factory=dict, repr=False)
    others: dict[str, _Section] = field(default_factory=dict, repr=False)


def config_path() -> Path:
    """Return the path of ``AWS_CONFIG_FILE``, or ``~/.aws/config``."""
    named = os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
    return Path(expand(os.path.expandvars(named), "AWS_CONFIG_FILE"))


def credentials_path() -> Path:
    """Return the path of ``AWS_SHARED_CREDENTIALS_FILE``, or ``~/.aws/credentials``."""
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    return Path(expand(os.path.expandvars(named), "AWS_SHARED_CREDENTIALS_FILE"))


def read_sections(path: Path, *, missing_ok: bool = False) -> Sections:
    """Read a configuration file, without the AWS credentials in it.

    Args:
        path: Path of the file.
        missing_ok: Whether to treat a missing file as empty.

    Raises:
        ConfigurationError: The file cannot be read; names the line without quoting it.
    """
    found = Sections(path)
    if missing_ok and not os.path.isfile(path):  # noqa: PTH113 - Path.is_file may raise
        return found
    parser = _parse(path)
    for section in parser.sections():
        values = {name: text for name, text in parser[section].items() if name not in _CREDENTIALS}
        if section == "default":
            found.profiles.setdefault(section, values)
            continue
        try:
            words = shlex.split(section)
        except ValueError:  # an unclosed quote: the AWS tools ignore such sections
            continue
        kinds = {
            "sso-session": found.sessions,
            "profile": found.profiles,
            "services": found.services,
        }
        if len(words) == 2 and words[0] in kinds:  # noqa: PLR2004 - the kind and the name
            kinds[words[0]][words[1]] = values
        else:
            found.others[section] = values
    return found


def nested(value: str) -> dict[str, str]:
    """Return the settings that are indented below another, as in a ``[services]`` section."""
    lines = (line.partition("=") for line in value.splitlines() if "=" in line)
    return {name.strip(): text.strip() for name, _, text in lines}


def _parse(path: Path) -> configparser.RawConfigParser:
    """Parse the file as botocore does.

    The parser's errors quote the invalid line, which may hold an AWS access key. So the error
    raised here gives only its number.
    """
    parser = configparser.RawConfigParser()
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except FileNotFoundError:
        problem = "no such file. To create it, run: aws configure sso; or set AWS_CONFIG_FILE"
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except configparser.DuplicateSectionError as error:
        problem = f"line {error.lineno}: duplicate section [{error.section}]"
    except configparser.DuplicateOptionError as error:
        problem = f"line {error.lineno}: duplicate {error.option} in [{error.section}]"
    except configparser.MissingSectionHeaderError as error:
        problem = f"line {error.lineno}: is outside any section; add [sso-session NAME] above it"
    except configparser.ParsingError as error:
        lines = ", ".join(str(number) for number, _ in error.errors)
        problem = f"line {lines}: is neither a [section] nor name = value"
    else:
        return parser
    raise ConfigurationError(f"{path}: {problem}.")
