"""The plugin system: discovery, loading, conflicts and the registry."""
