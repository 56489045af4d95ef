"""Named dialects: how real providers deviate from RFC 6749, as data.

Select one by name, as in ``Provider(..., dialect="github")``, or import a value and change it with
``dataclasses.replace``. Each module contains one provider or a family of providers. A comment on
each value describes the deviations and links to the provider's documentation.
"""
