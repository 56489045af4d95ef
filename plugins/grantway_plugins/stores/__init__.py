"""Places for tokens, each registered by the hook that a stranger's store would use."""
