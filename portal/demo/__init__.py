"""Demo accounts to try the portal with."""
