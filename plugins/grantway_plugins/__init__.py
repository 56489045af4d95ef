"""Plugins, command line, issuer and gateway. All use the hooks that third parties use."""
