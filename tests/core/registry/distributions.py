"""Create installed distributions in a temporary folder on ``sys.path``."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

COUPON = """
from grantway import Grant, GrantSchema, Replay, Text, hookimpl

class CouponSchema(GrantSchema):
    coupon = Text(required=True, example='"SPRING-2031"')

@hookimpl
def grantway_register_grants():
    return [Grant(grant_type="{grant_type}", schema=CouponSchema(){more})]
"""


def coupon(grant_type: str = "urn:example:coupon", more: str = "") -> str:
    """Return the source of a plugin with one grant."""
    return COUPON.format(grant_type=grant_type, more=more)


class Site:
    """A folder of installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        distribution: str,
        source: str,
        *,
        version: str = "1.0",
        name: str = "coupon",
        group: str = "grantway.v1",
        entry_points: str = "",
        requires: str = "",
    ) -> str:
        """Install a distribution of one module, and return the module's name."""
        module = distribution.replace("-", "_")
        (self.folder / f"{module}.py").write_text(textwrap.dedent(source), "utf-8")
        sys.modules.pop(module, None)
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        metadata += f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(metadata, "utf-8")
        points = entry_points or f"[{group}]\n{name} = {module}\n"
        (info / "entry_points.txt").write_text(points, "utf-8")
        return module

    def uninstall(self, distribution: str) -> None:
        """Uninstall a distribution."""
        module = distribution.replace("-", "_")
        (self.folder / f"{module}.py").unlink()
        for info in self.folder.glob(f"{module}-*.dist-info"):
            for file in info.iterdir():
                file.unlink()
            info.rmdir()
