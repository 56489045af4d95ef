"""The issuer's signing keys: generate, encrypt, publish, rotate and delete them.

A key is published before it signs, signs until its successor does, and stays published until the
last token that it signed has expired. Nothing runs in the background: each use of the keys checks
whether one of them is due.
"""
