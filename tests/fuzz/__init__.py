"""Bytes that nobody meant, for every parser: `make fuzz` is a minute for each.

`PYTHONPATH=src:tests:tests/data python -m fuzz NAME --seconds S` hunts in one.
"""
