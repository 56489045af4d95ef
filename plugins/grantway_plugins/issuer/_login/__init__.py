"""Logins of users: at an OpenID provider, or by a plugin."""
