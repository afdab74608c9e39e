"""Measurements behind RESULTS.md: `python -m bench.NAME`."""
