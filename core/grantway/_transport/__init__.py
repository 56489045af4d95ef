"""Send HTTP requests: deadlines, network settings, connections."""
