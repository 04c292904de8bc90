"""What ships with routing as data, read once."""
