"""Requests to a running server, proper ones and attacks."""
