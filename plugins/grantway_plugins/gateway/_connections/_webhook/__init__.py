"""Webhooks that report broken connections, as defined by the Standard Webhooks specification."""
