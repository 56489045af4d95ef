"""Forward requests to upstreams, with tokens."""
