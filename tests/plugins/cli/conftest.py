"""The fixtures of the registry: a folder to install into, and a process without a registry yet."""

from tests.core.registry.conftest import fresh_process, site

__all__ = ["fresh_process", "site"]
