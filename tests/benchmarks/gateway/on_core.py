"""``python on_core.py CORE -m MODULE ARGUMENTS``: run a module on one core."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.benchmarks.gateway.cores import pin

if __name__ == "__main__":
    pin(int(sys.argv[1]))
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
