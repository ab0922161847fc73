"""One headless Chromium for the room, and pages in it whose console and requests are watched."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.chromium import chromium


@dataclass
class Opened:
    """A page and what went on in it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    """Of the console, and exceptions."""

    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.page.locator(selector).all_inner_texts()
        return found

    def loaded(self) -> None:
        """Waits until all answers are there."""
        self.page.wait_for_selector("html[data-answers=loaded]", state="attached")


OpenPage = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Not for the whole session: while it lives, no other test can run an event loop."""
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Opens a file; after the test no page may have had an error, a dialog or a request of anything but files."""
    pages: list[Opened] = []

    def open_file(path: Path, fragment: str = "", **options: Any) -> Opened:
        context = browser.new_context(viewport={"width": 1400, "height": 900}, **options)
        opened = Opened(context.new_page())
        opened.page.on("console", lambda said: opened.errors.append(said.text) if said.type == "error" else None)
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("dialog", lambda dialog: opened.dialogs.append(dialog.message))
        opened.page.goto(f"{path.as_uri()}{fragment}")
        pages.append(opened)
        return opened

    yield open_file
    for opened in pages:
        opened.page.context.close()
        assert opened.errors == []
        assert opened.dialogs == []
        assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []
