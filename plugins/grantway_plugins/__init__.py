"""Everything that is not a standard grant, each behind the hooks that a stranger would use."""
