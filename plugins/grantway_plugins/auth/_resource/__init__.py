"""Logins to a protected resource that a program knows only by its URL.

A request passes through these modules in this order:

- ``resource_auth``: ``ResourceAuth``, with its arguments in ``settings``
- ``covered_urls``: the URLs whose requests get the token
- ``tokens``: the token in use, or ``step_up`` for a challenge that requires more
- ``shared_jobs``: one thread for all callers with the same ``need``; after a failed login,
  ``login_failures`` delays the next one
- ``acquisition``: a token of this process or of the store, otherwise that of a login
- ``sessions``: the client of ``clients`` and its token, for the ``record`` of the resource that
  ``record_store`` keeps
- ``finder``: the issuer that the resource names
- ``login``: one login under the lock of the store, with the program's function (``login_call``)
"""
