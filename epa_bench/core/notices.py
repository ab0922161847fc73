"""What a user should know and nothing stops for: said once, on the terminal, also where a worker process finds it."""

import warnings
from collections.abc import Callable
from typing import TextIO


class Notice(UserWarning):
    """A remark of this package. Where Python is used directly it is a warning like any other."""


def notice(message: str) -> None:
    """Says it once a process; a sweep's terminal shows it once, whichever workers say it."""
    warnings.warn(message, Notice, stacklevel=2)


def forward_notices(send: Callable[[str], None]) -> None:
    """From now on this process's notices go to `send`; warnings of others are shown as before."""
    show = warnings.showwarning

    def forward(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, Notice):
            send(str(message))
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = forward
