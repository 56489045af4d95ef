"""Read and write what providers expect: dialects, bodies and error members."""
