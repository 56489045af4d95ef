"""The three standard grants, one file each, registered as third-party grants are."""
