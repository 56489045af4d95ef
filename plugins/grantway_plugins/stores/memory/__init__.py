"""A bounded store in the memory of the process."""
