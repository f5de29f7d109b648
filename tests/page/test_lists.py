"""Lists: many jobs quickly, filters, and the way to a comparison."""

from __future__ import annotations

import re
from pathlib import Path

from tests.page.browsing import Browsing, figure_of, table_of
from tests.page.conftest import HOSTILE, Site
from tests.page.stored_jobs import store_finished_jobs
from tests.support.running_server import RunningServer

JOBS = 1000
ROWS = "table.jobs tbody tr"


def test_a_thousand_finished_jobs_are_listed_at_once(tmp_path: Path, browsing: Browsing) -> None:
    """Within a second on a machine that does nothing else; ten are left for one that does, and that is said."""
    expected = store_finished_jobs(tmp_path / "state", JOBS)
    with RunningServer(tmp_path / "state", http=True) as server:
        browsing.open(f"{server.url}/#/jobs").locator(ROWS).first.wait_for()  # whatever is only done once
        page = browsing.open(f"{server.url}/#/jobs")
        page.locator(ROWS).nth(49).wait_for()
        shown = page.evaluate("performance.now()")
        print(f"the list of {JOBS} jobs stood after {shown:.0f} ms")
        assert shown < 10_000
        for count in range(100, JOBS + 1, 50):
            page.get_by_role("button", name="Show 50 more").click()
            page.locator(ROWS).nth(count - 1).wait_for()
        assert page.get_by_role("button", name="Show 50 more").is_hidden()
        ids = page.locator(f"{ROWS} .id").all_text_contents()
        assert ids == expected


def test_a_name_is_never_markup(site: Site, browsing: Browsing) -> None:
    page = browsing.open(site.url("#/jobs/{run}"))
    page.get_by_role("heading", name=HOSTILE, level=1).wait_for()
    assert page.locator("img").count() == 0


def test_filters_show_the_jobs_of_a_state(site: Site, browsing: Browsing) -> None:
    page = browsing.open(site.url("#/jobs"))
    page.locator(ROWS).nth(2).wait_for()
    page.get_by_role("link", name="Failed", exact=True).click()
    page.get_by_text("NON_FINITE_LOSS").wait_for()
    assert page.locator(ROWS).count() == 1
    page.get_by_role("link", name="Queued", exact=True).click()
    page.get_by_text("No job is in this state.").wait_for()


def test_a_failed_run_says_why_and_which_field(site: Site, browsing: Browsing) -> None:
    page = browsing.open(site.url("#/jobs/{failed}"))
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "NON_FINITE_LOSS" in alert.inner_text()
    assert "trainer.learning_rate" in alert.inner_text()


def test_chosen_jobs_are_compared_by_what_differs(site: Site, browsing: Browsing) -> None:
    page = browsing.open(site.url("#/jobs"))
    page.get_by_role("checkbox", name="Compare slower").check()
    page.get_by_text("Choose one more job").wait_for()
    page.get_by_role("checkbox", name=f"Compare {HOSTILE}").check()
    page.get_by_role("link", name="Compare 2 jobs").click()
    page.wait_for_url(re.compile(r"#/compare\?jobs=[^,]+,[^,]+$"))
    differences = page.get_by_role("region", name="Spec differences").last
    differences.get_by_text("trainer.learning_rate").wait_for()
    paths = differences.locator("tbody th").all_text_contents()
    assert {"trainer.epochs", "trainer.learning_rate"} <= set(paths)
    assert "trainer.batch_size" not in paths
    accuracy = table_of(figure_of(page, "verdict accuracy, validation"))
    assert [row[0] for row in accuracy] == ["1", "2", "3", "4"]
    assert [sum(bool(cell) for cell in row[1:]) for row in accuracy] == [2, 2, 2, 1]


def test_a_link_to_what_is_not_there_says_so(site: Site, browsing: Browsing) -> None:
    for path in ("#/jobs/nothing", "#/models/nothing", "#/elsewhere"):
        page = browsing.open(site.url(path))
        page.get_by_role("heading", name=re.compile("^No such")).wait_for()
