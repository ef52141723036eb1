"""What stands between a view and the server: one module a server, and what they share."""
