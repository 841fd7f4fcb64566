"""Readers of point cloud and mesh files."""
