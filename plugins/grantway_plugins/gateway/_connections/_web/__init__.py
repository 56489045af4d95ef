"""Pages and JSON API with which users connect accounts."""
