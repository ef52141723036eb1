"""What an operator runs: backups, checks, and the clean-up of what has expired."""
