"""One loop for every family, and what it moves."""
