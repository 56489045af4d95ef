"""Issue access tokens, refresh tokens and ID tokens."""
