"""The gateway that ``grantway gateway`` runs, created from its configuration file."""
