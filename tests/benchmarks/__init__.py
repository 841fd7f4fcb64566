"""Benchmarks against peers and measured floors. Never timed in tests: `python tests/benchmarks/run.py`, or `make bench`."""
