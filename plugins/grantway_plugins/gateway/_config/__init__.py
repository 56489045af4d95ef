"""The gateway's TOML configuration file."""

from .config_file import ConfigFile

__all__ = ["ConfigFile"]
