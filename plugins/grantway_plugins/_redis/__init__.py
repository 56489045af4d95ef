"""Redis and Valkey servers: URLs, connections, failover and explanations of errors."""
