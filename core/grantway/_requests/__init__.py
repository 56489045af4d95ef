"""The request path: client, dispatcher, middleware, client authentication, transport."""
