"""What the web server must be told, generated from the application's settings."""
