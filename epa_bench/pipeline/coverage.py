"""What the rows of a run cover, in words: data read, dropped and cut, as the cells counted it."""

import json
from typing import Any

from epa_bench.core.store import CellSpec, Store


def data_summary(store: Store, preferences: CellSpec, *, only: str | None = None) -> str:
    """Rows of the preference data; `only`: of one split."""
    parts = _splits(store, preferences, "", only)
    read = preferences.inputs.get("preferences")
    if read is not None:
        parts += _splits(store, read, " file", only)
    return "; ".join(parts)


def score_pass_summary(store: Store, logps: CellSpec) -> str:
    """Responses scored, and how many were cut to fit."""
    return _counts(_summary(store, logps))


def supervised_summary(store: Store, reference: CellSpec) -> str:
    """Rows of the supervised stage that made a reference from a checkpoint, and of the file they are from."""
    parts = [_counts(_summary(store, reference))]
    read = reference.inputs.get("supervised")
    if read is not None:
        parts += _splits(store, read, " file", "supervised")
    return "; ".join(parts)


def _splits(store: Store, cell: CellSpec, what: str, only: str | None) -> list[str]:
    found = sorted(_summary(store, cell).items())
    return [f"{split}{what} {_counts(counts)}" for split, counts in found if only in (None, split)]


def _summary(store: Store, cell: CellSpec) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(store.open(cell).file("summary.json").read_text())
    return summary


def _counts(counts: dict[str, Any]) -> str:
    flat = {
        key: value if not isinstance(value, dict) else ", ".join(f"{k} {v}" for k, v in sorted(value.items())) or "none"
        for key, value in counts.items()
    }
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in flat.items())
