"""Bytes that nobody meant, for every parser: `make fuzz`, or `python -m fuzz NAME --seconds 60` with tests and tests/data on PYTHONPATH."""
