"""Accounts, their names, and the invitations that create them."""
