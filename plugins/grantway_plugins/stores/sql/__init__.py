"""A store in SQLite or PostgreSQL."""
