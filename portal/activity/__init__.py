"""Who did what to which file, from where, and how the downloads ended."""
