"""Read configuration files: TOML with line numbers, tables, components and network settings."""
