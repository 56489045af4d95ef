"""A store that encrypts the tokens in another store."""
