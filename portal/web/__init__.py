"""Pages and their addresses, by area."""
