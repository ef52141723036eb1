"""A secure file portal for a small organisation: each person's private files."""

from .app import create_app

__all__ = ["create_app"]
