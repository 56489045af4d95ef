"""Named dialects: how real providers deviate from RFC 6749, as data.

A ``Provider`` asks for one by its name, such as ``Provider(..., dialect="github")``; each value can
also be imported and changed with ``dataclasses.replace``. One module holds a provider, or a family
of them; every value names the deviation and the provider's public page about it.
"""
