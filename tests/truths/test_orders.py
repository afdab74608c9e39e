"""Every sampler converges as fast as theory says."""

from __future__ import annotations

import pytest

from triptych.diffusion.walks import SAMPLERS
from truths.orders import ORDERS, table

NO_ORDER = {"consistency", "average"}  # exact in any number of steps: see test_steps.py


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_is_the_theory_s(name: str) -> None:
    """Within 0.05."""
    assert ORDERS[name].slope() == pytest.approx(ORDERS[name].theory, abs=0.05)


def test_no_sampler_is_without_an_order() -> None:
    known = {one.sampler for one in ORDERS.values()}
    assert {name for name, sampler in SAMPLERS.items() if sampler not in known} == {"rk45", *NO_ORDER}


def test_the_table_says_theory_and_slope() -> None:
    _, row = table({"ddim": ORDERS["ddim"]}).splitlines()
    assert row.split()[:3] == ["ddim", "1", "1.00"]
