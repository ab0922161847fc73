"""Linearity: is the implicit reward the gold reward plus a constant of the prompt, as the RLHF optimum has it?

Per prompt, never pooled: the constant differs between prompts. Once over a prompt's own responses and once with
responses of other prompts added (`_all`), because only the latter sees what happens off the data's support.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from epa_bench.core.metric import MetricInfo
from epa_bench.suites.probes import ScoredItem
from epa_bench.suites.values import Value

METRICS: Mapping[str, MetricInfo] = {
    "pearson": MetricInfo(label="Pearson, own", better="higher"),
    "pearson_all": MetricInfo(label="Pearson, own + mismatched", better="higher", headline=True),
    "slope": MetricInfo(label="slope, own", better="closer to 1"),
    "slope_all": MetricInfo(label="slope, own + mismatched", better="closer to 1"),
    "slope1_mse": MetricInfo(label="slope1_mse, own", better="lower"),
    "slope1_mse_all": MetricInfo(label="slope1_mse, own + mismatched", better="lower", headline=True),
}

MIN_RESPONSES = 3
"""Two points lie on a line whatever they are."""


def linearity_values(scored: Iterable[ScoredItem], mismatched: int) -> Iterator[Value]:
    """Per prompt and set of responses, with s the implicit and r the gold reward:

    pearson: correlation of s and r; slope: least squares of s on r; slope1_mse: mean of (e - mean e)^2 with e = s - r.
    Prompts with fewer than three responses or a constant gold reward are errors, counted; a constant s has no
    correlation. This is not the paper's epsilon-hat, whose normalisation is not known.

    Of a prompt's mismatched responses the first `mismatched` count: the probe set is shared by all suites of a sweep
    and holds as many as the most demanding one asks for.
    """
    rows: dict[int, list[ScoredItem]] = {}
    for scored_item in scored:
        rows.setdefault(scored_item.item.row, []).append(scored_item)
    for row, items in sorted(rows.items()):
        own = [item for item in items if item.item.own is not None]
        foreign = [item for item in items if item.item.own is None]
        yield from _set_values(own, "", row)
        yield from _set_values(own + foreign[:mismatched], "_all", row)


def _set_values(items: Sequence[ScoredItem], suffix: str, row: int) -> Iterator[Value]:
    prompt_id = items[0].item.prompt_id
    statistics = _statistics(items)
    for metric in ("pearson", "slope", "slope1_mse"):
        value = statistics if isinstance(statistics, str) else statistics[metric]
        if isinstance(value, str):
            yield Value(metric=metric + suffix, prompt_id=prompt_id, item=row, error=value)
        else:
            yield Value(metric=metric + suffix, prompt_id=prompt_id, item=row, value=value)


def _statistics(items: Sequence[ScoredItem]) -> dict[str, float | str] | str:
    """The three statistics, or why there are none."""
    gold = [item.item.gold for item in items]
    if len(items) < MIN_RESPONSES:
        return f"fewer than {MIN_RESPONSES} responses"
    if any(g is None for g in gold):
        return "no gold score"
    r = np.array(gold, dtype=float)
    s = np.array([item.reward for item in items])
    # Not after centring: the mean of three times 0.1 is not 0.1.
    constant_s = np.ptp(s) == 0
    if np.ptp(r) == 0:
        return "constant gold reward"
    r, s = r - r.mean(), s - s.mean()
    spread, variation = float(r @ r), float(s @ s)
    return {
        "pearson": "constant implicit reward" if constant_s else float(r @ s) / float(np.sqrt(spread * variation)),
        "slope": float(r @ s) / spread,
        "slope1_mse": float(np.mean((s - r) ** 2)),
    }
