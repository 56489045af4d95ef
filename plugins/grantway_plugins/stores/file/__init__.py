"""A store that saves each token in a file."""
