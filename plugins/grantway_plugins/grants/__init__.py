"""Further grants, one file each, registered through the same hooks as third-party grants.

The ``password`` grant is not registered automatically; its module shows how to register it.
"""
