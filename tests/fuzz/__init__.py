"""Bytes that nobody meant, for every parser: `python -m tests.fuzz NAME --seconds 60`."""
