"""The gateway's TOML file: what it may say, and what it describes."""

from .config_file import ConfigFile

__all__ = ["ConfigFile"]
