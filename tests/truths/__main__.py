"""`python -m truths orders`: how fast each sampler converges. `python -m truths steps`: what comes of 18 steps."""

from __future__ import annotations

import argparse

from truths import orders, steps

TABLES = {"orders": orders.table, "steps": steps.table}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="truths", description="Tables of what samplers do, without a network.")
    parser.add_argument("table", choices=TABLES)
    print(TABLES[parser.parse_args().table]())
