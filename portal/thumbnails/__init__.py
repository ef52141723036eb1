"""Thumbnails of pictures, which a process of its own makes from bytes that it is sent."""
