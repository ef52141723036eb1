"""The checks: of the installation and the server's files, and of a running server."""
