"""TLS with certificate files that are read again when they change."""
