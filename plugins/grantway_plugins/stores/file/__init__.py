"""A store of files, one per token."""
