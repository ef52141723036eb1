"""What every room stands on: settings, the data folder, the database and its models."""
