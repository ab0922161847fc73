"""The system's Chromium for tests."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from epa_bench.bench.browser import open_browser
from epa_bench.core.errors import ConfigError


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser; skips the test without one, and fails in CI without one."""
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(open_browser())
        except ConfigError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield browser
