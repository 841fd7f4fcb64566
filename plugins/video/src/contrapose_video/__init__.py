"""Videos for contrapose."""
