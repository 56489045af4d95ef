"""A store in the operating system's key ring."""
