"""SQL databases: URLs, engines and explanations of errors, for the issuer and the ``sql`` store."""
