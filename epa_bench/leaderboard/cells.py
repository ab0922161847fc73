"""The text of single cells: numbers scaled, rounded and signed, counts, reasons. Escaping is the format's work."""

from collections.abc import Sequence
from typing import Literal

from epa_bench.core.metric import MetricInfo
from epa_bench.leaderboard.board import ArmResult, Cell, Margin, MetricTable

TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"

SIGN = {"above": "▲", "below": "▼", "inside": "○"}
"""Where the interval of a margin lies relative to zero; a sign, so that it survives without colour."""

KIND_MARK = {
    "crossed: seeds x prompts": "",
    "prompts only: seed variance not estimated": "†",
    "seeds only: prompt variance not estimated": "‡",
}

Verdict = Literal["better", "worse", "undecided"]


def percent(level: float) -> str:
    """`95 %` for .95."""
    return f"{100 * level:.10g} %"


def score_cell(score: Cell, info: MetricInfo) -> str:
    if score.interval is None:
        return f"none: {score.note}" if score.value is None else f"{_number(score.value, info)} ({score.note})"
    low, high = _number(score.interval.low, info), _number(score.interval.high, info)
    return f"{_number(score.interval.estimate, info)} ({low}, {high}){KIND_MARK[score.interval.kind]}"


def short_score(result: ArmResult | None, info: MetricInfo) -> str:
    if result is None:
        return "no rows"
    return f"none: {result.score.note}" if result.score.value is None else _number(result.score.value, info)


def margin_cells(margin: Margin | None, info: MetricInfo) -> tuple[str, str, str]:
    """Margin, minimum detectable effect, and the counts behind them."""
    if margin is None:
        return "no arm to compare", "", ""
    if margin.value is None:
        return f"none: {margin.note}", "", counts(margin)
    if margin.interval is None or margin.mde is None:
        return f"{_signed(margin.value, info)} ({margin.note})", "", counts(margin)
    interval = margin.interval
    numbers = f"{_signed(interval.estimate, info)} ({_signed(interval.low, info)}, {_signed(interval.high, info)})"
    return f"{numbers}{KIND_MARK[interval.kind]} {SIGN[interval.zero]}", _number(margin.mde, info), counts(margin)


def margins_beside(margins: Sequence[tuple[str, str, str]]) -> list[str]:
    """Several arms on one line: each margin with its minimum detectable effect, then the different counts."""
    shown = [f"{margin}, MDE {mde}" if mde else margin for margin, mde, _ in margins]
    return [*shown, "; ".join(dict.fromkeys(counted for _, _, counted in margins if counted))]


def counts(cell: Cell) -> str:
    left_out = f", {cell.n_left_out} left out" if cell.n_left_out else ""
    return f"{cell.n_prompts} {TIMES} {len(cell.seeds)}{left_out}"


def verdict(margin: Margin | None, info: MetricInfo) -> Verdict:
    if margin is None or margin.interval is None or margin.interval.zero == "inside":
        return "undecided"
    if info.better == "higher":
        return "better" if margin.interval.zero == "above" else "worse"
    if info.better == "lower":
        return "better" if margin.interval.zero == "below" else "worse"
    return "undecided"


def metric_name(table: MetricTable) -> str:
    unit = f" ({table.info.unit})" if table.info.unit else ""
    arrow = {"higher": " ↑", "lower": " ↓", "closer to 1": " → 1", "none": ""}[table.info.better]
    return f"{table.suite} · {table.info.label}{unit}{arrow}"


def direction(info: MetricInfo) -> str:
    unit = f"In {info.unit}; " if info.unit else ""
    sentence = unit + ("no better side" if info.better == "none" else f"{info.better} is better")
    return sentence[0].upper() + sentence[1:] + "."


def _number(value: float, info: MetricInfo) -> str:
    return f"{value * info.scale:z.{info.digits}f}"


def _signed(value: float, info: MetricInfo) -> str:
    return f"{value * info.scale:+z.{info.digits}f}"
