"""SSO sessions of ``~/.aws/config``: registration, login and refresh."""
