"""Copying, pickling and forking."""
