"""Pages for browsers: rendering, sessions, forms and the common templates."""
