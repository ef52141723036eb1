"""The one door to the content of files."""
