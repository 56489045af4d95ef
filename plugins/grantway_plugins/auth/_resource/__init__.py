"""Logins to a protected resource that a program knows only by its URL.

A request passes through these modules in this order:

- ``resource_auth``: ``ResourceAuth``, with its arguments in ``settings``
- ``tokens``: the token in use, or ``step_up`` for a challenge that requires more
- ``flights``: one thread for all callers with the same ``need``
- ``sessions``: the token of this process or of the store, where ``record`` describes the resource
- ``finder``: the issuer that the resource names
- ``login``: one login under the lock of the store, with the client of ``clients``
"""
