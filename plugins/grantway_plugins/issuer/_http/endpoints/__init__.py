"""What each endpoint does with a parsed request, one file each."""
