"""Grants beyond the three standard ones, one file each, registered as a stranger's would be.

``password`` is not registered: it has to be asked for by name. The issuer's sides are in
``grantway_plugins.grants.issuer``.
"""
