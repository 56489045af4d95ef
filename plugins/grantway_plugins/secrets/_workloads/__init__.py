"""Sources of the tokens that platforms give to workloads."""
