"""The values that callers hold: tokens, providers, grants, events."""
