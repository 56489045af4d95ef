"""Connections: tokens of users at providers, which the users grant and withdraw themselves."""
