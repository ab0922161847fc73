"""The logs a training leaves, as files. No torch: who watches reads them too."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

LOG_FILE = "training_log.jsonl"
"""One JSON line an optimizer step: loss, learning rate, gradient norm and the metrics."""

LIVE_LOG_FILE = "training_log.live.jsonl"
"""The same lines while it trains; gone when the whole log is written. A resumed training writes those of its checkpoint
again."""


def log_lines(steps: Iterable[Mapping[str, float]]) -> str:
    return "".join(json.dumps(step, sort_keys=True) + "\n" for step in steps)


def read_live_log(folder: Path) -> list[dict[str, float]]:
    """The steps so far; none where nothing is logged. The last line may be half written: it is left out."""
    path = folder / LIVE_LOG_FILE
    steps: list[dict[str, float]] = []
    with suppress(FileNotFoundError, ValueError):
        for line in path.read_text().splitlines():
            steps.append(json.loads(line))
    return steps
