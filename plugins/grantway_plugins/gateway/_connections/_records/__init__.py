"""Records of connections in memory, in a SQL database, and in Redis or Valkey."""
