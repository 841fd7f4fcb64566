"""Text for contrapose."""
