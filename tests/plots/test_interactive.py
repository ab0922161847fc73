"""The page's figures hold the series that the files' figures hold."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from epa_bench.plots.interactive.forest import forest_json
from epa_bench.plots.interactive.linearity import linearity_json
from epa_bench.plots.interactive.looks import looks_of, plain
from epa_bench.plots.interactive.reliability import reliability_json
from epa_bench.plots.interactive.trade_off import trade_off_json
from epa_bench.plots.interactive.training import training_json
from epa_bench.plots.series import (
    Effect,
    Forest,
    ForestPanel,
    Linearity,
    Reliability,
    TradeOff,
    Training,
    TrainingPanel,
)
from tests.plots.examples import BINS, EPA, FIGURES, LINEARITY, RELIABILITY


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


def figure(name: str) -> Any:
    return json.loads(FIGURES[name](), parse_constant=refuse)


def traces(name: str, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(trace.get(key) for key in keys) for trace in figure(name)["data"]]


def texts(value: Any) -> list[str]:
    """Every string of a figure."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in parts for text in texts(part)]


@pytest.mark.parametrize("name", FIGURES)
def test_foreign_names_are_text_and_equal_series_give_equal_bytes(name: str) -> None:
    """No element of theirs, which plotly would make, and no `%{...}` where plotly reads templates."""
    assert FIGURES[name]() == FIGURES[name]()
    found = texts(figure(name))
    assert any("&lt;script&gt;alert(1)" in text for text in found)
    assert not any("<script" in text or "\u202e" in text for text in found)
    templates = {trace.get("hovertemplate") for trace in figure(name)["data"]}
    assert not any("script" in template for template in templates if template)


@pytest.mark.parametrize(
    "figure_of",
    [
        lambda: forest_json(Forest("t", [ForestPanel("m", [("h", [Effect("a", "none", None, None, None)])])], "c")),
        lambda: trade_off_json(TradeOff("x", "y", [], None, "c")),
        lambda: linearity_json(Linearity(LINEARITY.panels[1:], "c")),
        lambda: reliability_json(Reliability(RELIABILITY.panels[1:], "c")),
        lambda: training_json(Training(["epa"], [TrainingPanel("mass", "mass", [EPA])], "c")),
    ],
)
def test_little_to_draw(figure_of: Callable[[], str]) -> None:
    assert json.loads(figure_of(), parse_constant=refuse)["layout"]


def test_forest() -> None:
    shown = figure("forest")
    bar, whole, _, none, _, alone = shown["data"]
    assert (bar["base"], bar["x"], bar["y"]) == ([-4.5], [9], [1])
    assert (whole["x"], whole["y"], whole["error_x"]["array"], whole["error_x"]["arrayminus"]) == ([2], [1], [3], [3])
    assert none["x"] == []
    assert (alone["x"], alone["y"], alone["marker"]["symbol"]) == ([8], [2], "circle-open")
    low, high = shown["layout"]["xaxis"]["range"]
    assert low == -high
    assert high > 5
    assert [(note["y"], note["yref"]) for note in shown["layout"]["annotations"]] == [(1, "y"), (1, "y2"), (2, "y2")]


def test_trade_off() -> None:
    star, curve = figure("trade_off")["data"]
    assert (star["x"], star["y"], star["marker"]["symbol"]) == ([0], [-0.5], "star")
    assert (curve["x"], curve["y"]) == ([2, 4], [1, 0.5])
    assert (curve["error_x"]["array"], curve["error_x"]["arrayminus"]) == ([0.75, 0.5], [0.5, 0.5])
    assert (curve["error_y"]["array"], curve["error_y"]["arrayminus"]) == ([0.25, 1], [0.5, 0.25])
    assert curve["marker"]["symbol"] == ["circle", "circle-open"]


def test_linearity_has_two_shapes_and_the_line_of_slope_1() -> None:
    mismatched, own, line, *_ = traces("linearity", "x", "y")
    assert (mismatched, own) == (([-1], [4]), ([-2, 3], [-1.5, 2]))
    assert line == ([-2, 3], [-2, 3])
    looks = [(trace["marker"]["symbol"], trace["marker"]["color"]) for trace in figure("linearity")["data"][:2]]
    assert len({symbol for symbol, _ in looks}) == len({colour for _, colour in looks}) == 2


def test_reliability() -> None:
    bars, dots, _, *_ = traces("reliability", "x", "y", "width", "text")
    assert bars[1] == dots[1] == [found.accuracy for found in BINS]
    assert bars[0] == pytest.approx([(found.low + found.high) / 2 for found in BINS])
    assert bars[2] == pytest.approx([1 / 15] * len(BINS))
    assert dots[0] == [found.confidence for found in BINS]
    assert dots[3] == ["3 pairs", "1 pairs"]


def test_training_has_a_band_where_seeds_differ_and_each_arm_in_the_legend_once() -> None:
    low, high, dpo, *epas = traces("training", "x", "y", "fill", "showlegend")
    assert (low[1], high[1], high[2], dpo[1]) == ([0.5, 1.5], [1.25, 2.5], "tonexty", [1, 2])
    assert [(epa[1], epa[3]) for epa in epas] == [([3, 4], True), ([3, 4], False)]


def test_looks_differ_without_colour_and_repeat_late() -> None:
    looks = looks_of(map(str, range(56)))
    assert len(set(looks.values())) == 56
    first = [looks[str(number)] for number in range(4)]
    assert len({look.symbol for look in first}) == len({look.dash for look in first}) == 4
    assert first[0].faint == "rgba(42, 143, 212, 0.15)"


def test_plain() -> None:
    assert plain("<a href='javascript:x'>%{x} & $b$\n</a>") == "&lt;a href='javascript:x'&gt;%{x} &amp; $b$ &lt;/a&gt;"


def test_no_matplotlib_and_no_torch() -> None:
    code = "import sys, epa_bench.plots.interactive.training; print({'torch', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
