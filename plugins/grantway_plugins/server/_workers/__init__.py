"""Worker processes that share listening sockets, and the supervisor that starts them."""
