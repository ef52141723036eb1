"""Checks of what leaves the application."""
