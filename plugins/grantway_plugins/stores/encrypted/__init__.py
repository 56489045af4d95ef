"""Encrypt what another store keeps."""
