"""A minimal browser that opens an address, follows redirects and exits.

Like a real browser, it returns immediately to the program that started it.
"""

from __future__ import annotations

import os
import sys
from urllib.request import ProxyHandler, build_opener

if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    with build_opener(ProxyHandler({})).open(sys.argv[1], timeout=30) as page:
        page.read()
