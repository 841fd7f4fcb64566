"""Point clouds for contrapose."""
