"""Pulses: lists of eight numbers."""
