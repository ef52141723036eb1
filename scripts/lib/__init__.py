"""What scripts/ and deploy/install share. Only Python's standard library is there for it."""
