"""Every parser returns, or raises an error of triptych: on anything at all, and on inputs near to good ones."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.__main__ import fault, hunt
from fuzz.parsers import ALLOWED, TARGETS, Target
from triptych import quantities, recipe
from triptych.labels import plain
from triptych.sampling import chosen
from triptych.words import quoted, shown

few = settings(max_examples=25, derandomize=True, deadline=None, database=None,
               suppress_health_check=list(HealthCheck))  # fmt: skip
texts = st.text(max_size=200)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
encoded = texts.map(lambda text: text.encode(errors="surrogatepass")) | trees.map(
    lambda tree: json.dumps(tree).encode()
)


@pytest.mark.parametrize("name", TARGETS)
def test_its_corpus_is_read_and_what_is_near_it_is_no_fault(name: str) -> None:
    target = TARGETS[name]()
    target.parse(target.corpus[0]) if name not in ("command", "manifest") else None
    assert hunt(name, 60.0, seed=7, most=40) == (40, {})


@pytest.mark.parametrize("name", TARGETS)
@few
@given(data=st.binary(max_size=300) | encoded)
def test_anything_at_all(name: str, data: bytes) -> None:
    assert fault(TARGETS[name](), data) == ""


def test_faults_are_seen() -> None:
    def bad(data: bytes) -> None:
        raise KeyError(data)

    assert "KeyError" in fault(Target(bad, (b"",)), b"x")

    def slow(data: bytes) -> None:
        end = time.process_time() + 1.05
        while time.process_time() < end:
            pass

    assert fault(Target(slow, (b"",)), b"").endswith(" s")


@few
@given(number=st.integers(1, 2**53))
def test_counts_come_back(number: int) -> None:
    assert quantities.count(str(number), "x") == quantities.count(f"{number:_}", "x") == number


@few
@given(number=st.floats(1e-6, 1e12))
def test_numbers_come_back(number: float) -> None:
    assert quantities.decimal(repr(number), "x", 0, 1e13) == number
    assert chosen(interval=f"{number!r},{number!r}") == {"interval": (number, number)}
    assert quantities.operations(repr(number), "x") == number if "e-" not in repr(number) else True


@few
@given(height=st.integers(1, 4096), width=st.integers(1, 4096))
def test_sizes_come_back(height: int, width: int) -> None:
    assert quantities.size(f"{height}x{width}", "x") == (height, width)


@few
@given(numbers=st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_lists_of_numbers_come_back(numbers: list[int]) -> None:
    assert quantities.whole_numbers(",".join(map(str, numbers)), "x") == numbers


@few
@given(
    value=st.integers()
    | st.text()
    | st.floats()
    | st.lists(st.integers())
    | st.none()
    | st.booleans()
    | st.just(10**5000)
)
def test_amounts_of_any_type(value: object) -> None:
    for reader in (quantities.count, quantities.seconds, quantities.operations, quantities.size, quantities.share):
        said = ""
        try:
            reader(value, "x")  # type: ignore[operator]
        except ALLOWED as error:
            said = str(error)
        assert len(said) < 400


@few
@given(tree=st.dictionaries(st.text(max_size=10), trees, max_size=4).filter(lambda tree: "nan" not in repr(tree)))
def test_recipes_survive_their_text(tree: dict[str, object]) -> None:
    assert recipe._parse(recipe.write(tree), "x") == tree


@few
@given(text=st.text(max_size=300))
def test_a_text_has_one_form(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert shown(text).isprintable()
    assert len(quoted(text)) <= 83
