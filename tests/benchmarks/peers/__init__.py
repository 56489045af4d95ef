"""The libraries that the benchmarks compare, each with the shortest program that uses it.

A function gets the address of the token server, prepares a client, and returns a call. Each call
refreshes a token over the client's connection and returns the access token. The modules of this
package import nothing, so that the start of a process with one of the libraries can be measured.
"""

ACCESS_TOKEN = "a" * 43
REFRESH_TOKEN = "r" * 43
CLIENT_ID = "client"
CLIENT_SECRET = "s" * 32
#: msal rejects http, so its session redirects this address to the benchmark's server.
MSAL_AUTHORITY = "https://login.example/tenant"
