"""A minimal browser whose user allows what the issuer asks, and that exits.

Like a real browser, it returns immediately to the program that started it.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    from grantway_plugins.issuer import BrowserDriver

    with BrowserDriver() as driver:
        driver.visit(driver.approve_authorization(sys.argv[1]))
