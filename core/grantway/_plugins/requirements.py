"""Check the version of grantway that a distribution requires.

Importing ``packaging`` takes longer than loading ten plugins, so the usual requirement, such as
``grantway>=0.2,<1``, is checked without it if that is possible without doubt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from grantway import __version__

_OURS = re.compile(r"grantway\s*(?:\[[^]]*\])?\s*(?![\w.-])", re.IGNORECASE)
#: The requirements of an extra do not apply to the distribution itself.
_OF_EXTRA = re.compile(r"[^;]*;\s*extra\s*==\s*(['\"])[\w.-]+\1\s*")
# Not compiled, because a program without third-party plugins does not use these.
_SIMPLE = r"\(?\s*(?:(?:>=|<)\s*\d+(?:\.\d+)*\s*(?:,\s*|(?=\)|$)))*\)?"
_CLAUSE = r"(>=|<)\s*([\d.]+)"
_RELEASE = r"\d+(?:\.\d+)*"


def unmet_requirement(requires: Iterable[str], version: str = __version__) -> str:
    """Return the first requirement that this version of grantway does not meet, or ''.

    Args:
        requires: All requirements of a distribution (``Requires-Dist``).
        version: The version of grantway.
    """
    for each in requires:
        ours = _OURS.match(each)
        if ours is None or _OF_EXTRA.fullmatch(each) or _surely_met(each[ours.end() :], version):
            continue
        if unmet := _unmet(each, version):
            return unmet
    return ""


def _surely_met(specifier: str, version: str) -> bool:
    """Return True if all clauses are ``>=`` or ``<`` with plain numbers, and are met."""
    if not (re.fullmatch(_SIMPLE, specifier) and re.fullmatch(_RELEASE, version)):
        return False
    return all(
        (_numbers(version) >= _numbers(limit)) is (operator == ">=")
        for operator, limit in re.findall(_CLAUSE, specifier)
    )


def _numbers(release: str) -> list[int]:
    numbers = [int(each) for each in release.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()  # 1.0 is the same version as 1
    return numbers


def _unmet(requirement: str, version: str) -> str:
    """Return a requirement without its marker if the version does not meet it, or ''."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - slow

    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return ""  # pip would not have installed it
    if parsed.marker is not None and not parsed.marker.evaluate({"extra": ""}):
        return ""
    met = parsed.specifier.contains(version, prereleases=True)
    return "" if met else f"{parsed.name}{parsed.specifier}"
