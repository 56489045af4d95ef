"""Read ``~/.aws/config`` and AWS's environment variables; regions and endpoints."""
