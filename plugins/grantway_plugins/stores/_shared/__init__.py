"""What several stores need: locks, leases, lifetimes."""
