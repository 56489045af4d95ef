"""Test classes for the implementations of plugin authors. They need pytest."""
