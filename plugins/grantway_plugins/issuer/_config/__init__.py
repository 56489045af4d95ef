"""The issuer's configuration file, which ``grantway serve --config`` reads.

To add a table:

1. Write a file ``tables/NAME.py`` with a subclass of ``IssuerTable``. Its marshmallow fields are
   the keys. ``table`` is its name, and ``collects`` makes it an array, ``[[NAME]]``. Secrets
   (``SecretField``) are read, and paths (``PathField``) are made absolute.
2. By default, each key sets the field of ``IssuerSettings`` with the same name. Map other names
   with ``names``, set another ``part``, or override ``read`` to build an object from the values.
   ``IssuerSettings`` validates the values: an error whose ``errors`` name a field is reported with
   the line of its key.
3. Add the class to ``TABLES`` in ``tables/__init__.py``, and its keys to
   ``docs/reference/issuer-config.md``, which a test compares.
"""

from .issuer_file import IssuerFile
from .options import Options

__all__ = ["IssuerFile", "Options"]
