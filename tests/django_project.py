"""A Django project whose settings and URLs each test chooses.

Django has one project for each process. It is imported when a test uses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# ruff: noqa: PLC0415

#: Django's routes.
urlpatterns: list[Any] = []


@contextmanager
def django_project(routes: Sequence[Any], **settings: Any) -> Iterator[None]:
    """Use these routes and settings for the block."""
    from django.test.utils import override_settings
    from django.urls import clear_url_caches

    configure_django()
    with override_settings(**settings):
        urlpatterns[:] = routes
        clear_url_caches()
        try:
            yield
        finally:
            urlpatterns[:] = []
            clear_url_caches()


def configure_django() -> None:
    """Configure Django, unless a test of this process has done so."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["127.0.0.1"],
            ROOT_URLCONF=__name__,
            LOGGING_CONFIG=None,
            SECRET_KEY="for tests",
        )
        django.setup()
