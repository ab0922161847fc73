"""Processes that end with the one that started them, however that one ends."""

import os
import threading
from multiprocessing.connection import Connection


def end_with_parent(lifeline: Connection) -> None:
    """From now on this process ends as soon as the other end of the pipe is closed, or its holder dies."""
    threading.Thread(target=_end_when_closed, args=(lifeline,), daemon=True).start()


def _end_when_closed(lifeline: Connection) -> None:
    # The parent never writes: this returns when there is no other end any more.
    lifeline.poll(None)
    os._exit(1)
