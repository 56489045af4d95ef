"""Logins of ``~/.aws/config``: registration, session, refresh."""
