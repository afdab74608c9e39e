"""Faults on purpose: real processes that really die, real disks that really fill, and what is left of a run.

`python -m faults --help`. Nothing of the package is replaced: a small library between the
process and libc (`shim.c`) lets the real code run up to one chosen call, and there kills it.
"""
