"""The gateway that ``grantway gateway`` runs: what its file describes, put to work."""
