"""Uploads in pieces, by members and visitors."""
