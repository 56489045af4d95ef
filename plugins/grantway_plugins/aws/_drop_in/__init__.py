"""A drop-in replacement for ``boto3.client("sso-oidc")``."""
