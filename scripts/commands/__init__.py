"""One module for each script."""
