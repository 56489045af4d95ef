"""The tests of the packages run in the environment of ``test_distribution``."""

collect_ignore_glob = ["grantway-*"]
