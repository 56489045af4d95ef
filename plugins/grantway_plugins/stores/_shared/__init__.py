"""Code shared by several stores: locks, leases, lifetimes and connection checks."""
