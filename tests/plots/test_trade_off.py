"""The plane of two metrics holds its arms and their intervals."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from epa_bench.core.errors import DataError
from epa_bench.plots.paper import figure_bytes
from epa_bench.plots.series import Curve, Place, Range, TradeOff
from epa_bench.plots.trade_off import trade_off_figure
from tests.plots.drawn import HOSTILE, SHOWN, texts

CURVES = [
    Curve(
        "dpo",
        [
            Place("β 0.2", Range(2.0, 1.5, 2.75), Range(1.0, 0.5, 1.25)),
            Place("β 0.1", Range(4.0, 3.5, 4.5), Range(0.5, 0.25, 1.5), hollow=True),
        ],
    ),
    Curve("epa", [Place("β 0.1", Range(3.0, 3.0, 3.0), Range(2.0, 2.0, 2.0))]),
]


def figure_of(curves: list[Curve]) -> Figure:
    return trade_off_figure(TradeOff("kl.k", "g.r", curves, (0.0, -0.5), "c"))


def test_a_reference_without_a_place() -> None:
    (axes,) = trade_off_figure(TradeOff("x", "y", CURVES[1:], None, "c")).axes
    assert [line.get_marker() for line in axes.lines] == ["o"]


def segments(axes: Axes) -> list[list[list[float]]]:
    return [
        np.asarray(segment).tolist()
        for bars in axes.collections
        if isinstance(bars, LineCollection)
        for segment in bars.get_segments()
    ]


def test_curves_and_intervals_are_the_data() -> None:
    (axes,) = figure_of(CURVES).axes
    lines = [(str(line.get_marker()), np.asarray(line.get_xydata()).tolist()) for line in axes.lines]
    assert lines == [
        ("*", [[0, -0.5]]),
        ("o", [[2, 1], [4, 0.5]]),
        # Over-optimised: once more, hollow.
        ("o", [[4, 0.5]]),
        ("^", [[3, 2]]),
    ]
    assert axes.lines[2].get_markerfacecolor() == "white"
    across, up = segments(axes)[:2], segments(axes)[2:4]
    assert across == [[[1.5, 1], [2.75, 1]], [[3.5, 0.5], [4.5, 0.5]]]
    assert up == [[[2, 0.5], [2, 1.25]], [[4, 0.25], [4, 1.5]]]
    assert [text.get_text() for text in axes.texts] == ["β 0.2", "β 0.1", "β 0.1"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("kl.k", "g.r")


def test_text_is_text() -> None:
    """A leading underscore hides a series from matplotlib's own legend."""
    place = Place(HOSTILE, Range(0.0, 0.0, 0.0), Range(0.0, 0.0, 0.0))
    shown = texts(trade_off_figure(TradeOff(HOSTILE, HOSTILE, [Curve(HOSTILE, [place])], None, HOSTILE)))
    assert shown.count(SHOWN) == 5


def test_equal_data_give_equal_bytes() -> None:
    first, second = (figure_bytes(figure_of(CURVES), "svg") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("curves", [[], [Curve("dpo", [])]])
def test_nothing_to_draw(curves: list[Curve]) -> None:
    with pytest.raises(DataError, match="no arms to plot"):
        figure_of(curves)
