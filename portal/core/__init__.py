"""The base of every other package: settings, the data folder, the database and its models."""
