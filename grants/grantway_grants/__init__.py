"""The three standard grants, one file each, registered like any stranger's."""
