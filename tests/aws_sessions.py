"""Sessions of botocore and boto3 that read botocore's data files only once."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
import botocore.loaders
import botocore.session

#: The files describe every AWS service; reading them takes a third of a second.
_loader = cache(botocore.loaders.create_loader)


def botocore_session() -> botocore.session.Session:
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return session


def boto3_session(*keys: str, **options: Any) -> boto3.Session:
    """Create a session that reads the environment and the configuration files again."""
    return boto3.Session(*keys, botocore_session=botocore_session(), **options)
