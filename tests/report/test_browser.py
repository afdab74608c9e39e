"""The page in a real browser: it draws, complains of nothing, asks nobody, and is there at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chromium
from constructed import entries, heading, images
from triptych.report import Report, write_report

pytestmark = pytest.mark.skipif(chromium.FOUND is None, reason="no Chromium is installed")
OVERLAPS = """(() => {
  const seen = [...document.querySelectorAll('.chart svg')].filter(svg => svg.getBoundingClientRect().width);
  const met = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3;
  const found = [];
  for (const svg of seen) {
    const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
    const frame = svg.getBoundingClientRect();
    texts.forEach(([a, x], i) => {
      if (x.left < frame.left - 1 || x.right > frame.right + 1) found.push(a + ' leaves');
      texts.slice(i + 1).forEach(([b, y]) => { if (met(x, y)) found.push(a + ' on ' + b) });
    });
  }
  return [seen.length, found];
})()"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return write_report(entries(), tmp_path_factory.mktemp("report"), heading())


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    with chromium.Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def complaints(browser: chromium.Browser) -> list[Any]:
    kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Network.loadingFailed")
    return [event for kind in kinds for event in browser.heard(kind)]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (400, False)])
def test_it_draws_without_a_complaint_or_a_request(
    browser: chromium.Browser, report: Report, width: int, dark: bool, tmp_path: Path
) -> None:
    browser.open(report.html, width=width, dark=dark)
    assert complaints(browser) == []
    asked = [event["request"]["url"] for event in browser.heard("Network.requestWillBeSent")]
    assert asked[0] == report.html.resolve().as_uri()
    assert all(url.startswith("data:image/png;base64,") for url in asked[1:])
    assert browser.value("document.documentElement.scrollWidth") <= width
    shown, overlaps = browser.value(OVERLAPS)
    assert (shown, overlaps) == (2, [])
    assert browser.value("[...document.images].every(image => !image.complete || image.naturalWidth > 0)")
    paper = browser.value("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(21, 23, 26)" if dark else "rgb(253, 253, 252)")
    assert browser.picture(tmp_path / "page.png").stat().st_size > 20_000


def test_it_can_be_walked_with_the_keyboard(browser: chromium.Browser, report: Report) -> None:
    browser.open(report.html)
    for kind in ("keyDown", "keyUp"):
        browser.do("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.value("document.activeElement.getAttribute('aria-label')") == "Scores, table"
    assert browser.value("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_it_loads_within_a_second(browser: chromium.Browser, tmp_path: Path) -> None:
    """Five models with 64 images each, in the page's own processor time: neighbours may keep a machine busy."""
    made = [*entries(), *entries(("fourth", "fifth", "sixth"))[:2]]
    results = [one._replace(images=images(64, 4, 64, seed)) for seed, one in enumerate(made)]
    large = write_report(results, tmp_path, heading(real=images(32, 4, 64, 9)))
    assert large.html.stat().st_size < 3_000_000
    browser.do("Network.disable")  # else each image is told of, too
    browser.do("Performance.enable", timeDomain="threadTicks")
    browser.open(large.html)
    work = {one["name"]: one["value"] for one in browser.do("Performance.getMetrics")["metrics"]}
    browser.do("Network.enable")
    assert 0 < work["TaskDuration"] < 1
