"""Programs that the tests write: shell scripts, which start in a millisecond."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grantway_plugins.executable import Command

#: Writes a shell script, and returns the command that runs it.
Program = Callable[..., Command]
SETTING = "profiles.ci.provider.command"


def script(folder: Path, text: str, name: str = "corp-token") -> Path:
    """Write a shell script, and return its path."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def printing(message: dict[str, Any]) -> str:
    """Return a line of shell that prints a message of the protocol."""
    return f"cat <<'MESSAGE'\n{json.dumps({'version': 1, **message})}\nMESSAGE"


def token(**members: Any) -> str:
    """Return a line of shell that prints a token."""
    return printing({"token": {"access_token": "at-1", "expires_in": 3600, **members}})
