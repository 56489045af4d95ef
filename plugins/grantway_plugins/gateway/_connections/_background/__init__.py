"""Work on connections that no request waits for: saving activity, refreshes, webhooks."""
