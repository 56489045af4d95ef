"""Code shared by the clients of SQL databases and of Redis."""
