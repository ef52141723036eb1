"""Links for people without an account: to download (shares), and to upload (file requests)."""
