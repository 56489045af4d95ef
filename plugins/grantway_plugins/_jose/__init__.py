"""JWTs that other parties sign: their published keys, and the time for which a JWT is valid."""
