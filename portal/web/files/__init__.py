"""Pages of files, folders, the trash and uploads."""
