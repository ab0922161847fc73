"""The system's headless Chromium, driven by Playwright: for measuring pages and testing them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from epa_bench.core.errors import ConfigError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def open_browser() -> Iterator["Browser"]:
    """A browser that lives as long as the context; meanwhile this thread cannot run another event loop.

    Raises ConfigError where Chromium or Playwright is not installed.
    """
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        raise ConfigError("no chromium on this machine; install it, e.g. apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise ConfigError("no playwright; it comes with the extra `dev`: pip install 'epa-bench[dev]'") from None
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses root, as whom containers run. Only our own pages are opened.
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
