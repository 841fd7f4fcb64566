"""Sounds for contrapose."""
