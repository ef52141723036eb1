"""Links for people without an account: shares, to download, and file requests, to upload."""
