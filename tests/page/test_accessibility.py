"""Everybody can use the page: axe-core's rules, the keyboard alone, 360 pixels, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.page.browsing import Browsing
from tests.page.conftest import Site

AXE = Path(__file__).resolve().parents[2] / "build" / "axe-core" / "package" / "axe.min.js"
VIEWS = {
    "jobs": ("#/jobs", "table.jobs tbody tr"),
    "run": ("#/jobs/{run}", "figure canvas"),
    "failed run": ("#/jobs/{failed}", ".notice.bad"),
    "comparison": ("#/compare?jobs={run},{other}", "figure canvas"),
    "models": ("#/models", "table.models tbody tr"),
    "model": ("#/models/{model}", "form"),
    "embeddings": ("#/embeddings", "table tbody tr"),
    "nothing": ("#/elsewhere", "h1"),
}


def opened(view: str, site: Site, browsing: Browsing, **options: Any) -> Any:
    """A view, once it shows what it is about."""
    path, ready = VIEWS[view]
    page = browsing.open(site.url(path), **options)
    page.locator(ready).first.wait_for()
    page.wait_for_timeout(500)  # what comes after: figures are drawn a quarter of a second after their events
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(view: str, scheme: str, site: Site, browsing: Browsing) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not there; make test-page fetches it into build/")
    page = opened(view, site, browsing, scheme=scheme)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_narrow_window_scrolls_down_alone(view: str, site: Site, browsing: Browsing) -> None:
    page = opened(view, site, browsing, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_keyboard_leads_from_the_list_to_a_table_of_a_run(site: Site, browsing: Browsing) -> None:
    page = opened("jobs", site, browsing)
    press(page, "Tab")
    assert focused(page) == "Skip to the content"
    press(page, "Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "<img src=x onerror=alert(1)>")
    press(page, "Enter")
    page.locator("figure canvas").first.wait_for()
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "Table")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(page, "Enter")
    assert page.locator("figure table").first.is_visible()


def test_the_theme_that_is_chosen_stays(site: Site, browsing: Browsing) -> None:
    page = opened("jobs", site, browsing, scheme="light")
    light = background(page)
    page.get_by_role("button", name="Dark theme").click()
    dark = background(page)
    assert dark != light
    page.reload()
    assert background(page) == dark
    other = opened("jobs", site, browsing, scheme="dark")
    assert background(other) == dark


def background(page: Any) -> str:
    """The colour behind everything."""
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


def press(page: Any, key: str) -> None:
    """Presses a key."""
    page.keyboard.press(key)


def focused(page: Any) -> str:
    """The text of what has the focus."""
    found: str = page.evaluate("document.activeElement.textContent")
    return found


def tab_to(page: Any, text: str) -> None:
    """Presses Tab until something of this text has the focus."""
    for _ in range(60):
        press(page, "Tab")
        if focused(page) == text:
            return
    raise AssertionError(f"Tab does not lead to {text!r}")
