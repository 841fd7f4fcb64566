"""Rows of tables for contrapose."""
