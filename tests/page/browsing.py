"""Pages in a browser, what they complain of, and what stands in their tables."""

from __future__ import annotations

from typing import Any


class Browsing:
    """Opens pages of a browser and listens to them."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.complaints: list[str] = []
        """Errors of scripts, and what the console says is wrong; answers other than 200 are expected of some tests."""

    def open(self, url: str, *, scheme: str = "light", width: int = 1280, blank: bool = False) -> Any:
        """A page in a context of its own, with or without having gone to the address."""
        context = self._browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 860})
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        if not blank:
            page.goto(url)
        return page

    def close(self) -> None:
        """Closes every page."""
        for context in self._contexts:
            context.close()

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)


def table_of(figure: Any) -> list[list[str]]:
    """The cells of a figure's table, which is opened if it is not."""
    button = figure.get_by_role("button", name="Table", exact=True)
    if button.count():
        button.click()
    rows: list[list[str]] = figure.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def figure_of(page: Any, title: str) -> Any:
    """A figure by its title."""
    return page.locator("figure").filter(has=page.get_by_role("heading", name=title, exact=True, level=3))
