"""A comparison: who takes part, what is measured of each, and on what common ground."""
