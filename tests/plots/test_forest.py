"""Forest plots hold their effects, with zero in the middle."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.axes._secondary_axes import SecondaryAxis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from epa_bench.core.errors import DataError
from epa_bench.plots.forest import forest_figure
from epa_bench.plots.paper import figure_bytes
from epa_bench.plots.series import Effect, Forest, ForestPanel
from tests.plots.drawn import HOSTILE, SHOWN, texts

WHOLE = Effect("epa - dpo", "+2.0 (-1.0, +5.0), 9 x 3", 2.0, (-1.0, 5.0), mde=4.5)
NO_INTERVAL = Effect("dpo-nll - dpo", "+8.0 (one prompt)", 8.0, None, None)
ABSENT = Effect("ipo", "none: no prompts in common", None, None, None)
PANELS = [
    ForestPanel("margin (%)", [("a · win rate", [WHOLE, NO_INTERVAL]), ("b · win rate", [ABSENT])]),
    ForestPanel("margin (nats)", [("c · nll", [ABSENT])]),
]


def figure_of(panels: list[ForestPanel]) -> Figure:
    return forest_figure(Forest("t", panels, "c"))


def labels(axes: Axes | SecondaryAxis) -> list[str]:
    return [label.get_text().strip() for label in axes.get_yticklabels()]


def test_effects_are_the_data() -> None:
    """Lines count from the top, headings too: the first effect is on line 1."""
    first, second = figure_of(PANELS).axes
    zero, whole, alone, _ = first.lines
    assert np.asarray(zero.get_xdata()).tolist() == [0, 0]
    assert np.asarray(whole.get_xydata()).tolist() == [[2, 1]]
    assert np.asarray(alone.get_xydata()).tolist() == [[8, 2]]
    assert alone.get_markerfacecolor() == "white" != whole.get_markerfacecolor()
    (interval,) = (c for c in first.collections if isinstance(c, LineCollection))
    assert [np.asarray(segment).tolist() for segment in interval.get_segments()] == [[[-1, 1], [5, 1]]]
    (band,) = first.patches
    assert band.get_extents().transformed(first.transData.inverted()).intervalx.tolist() == pytest.approx([-4.5, 4.5])
    assert labels(first) == ["a · win rate", "epa - dpo", "dpo-nll - dpo", "b · win rate", "ipo"]
    assert [tick.get_fontweight() for tick in first.get_yticklabels()] == ["bold", "normal", "normal", "bold", "normal"]
    (right,) = first.child_axes
    assert isinstance(right, SecondaryAxis)
    assert labels(right) == ["", WHOLE.text, NO_INTERVAL.text, "", ABSENT.text]
    assert (first.get_xlabel(), second.get_xlabel()) == ("margin (%)", "margin (nats)")


def test_zero_is_in_the_middle_and_everything_within() -> None:
    for axes, reach in zip(figure_of(PANELS).axes, (8, 0), strict=True):
        low, high = axes.get_xlim()
        assert low == -high
        assert high > reach
        top, bottom = sorted(axes.get_ylim())
        assert top < 0 < len(labels(axes)) - 1 < bottom


def test_text_is_text() -> None:
    effect = Effect(HOSTILE, HOSTILE, 0.0, (0.0, 0.0), 0.0)
    shown = texts(forest_figure(Forest(HOSTILE, [ForestPanel(HOSTILE, [(HOSTILE, [effect])])], HOSTILE)))
    assert shown.count(SHOWN) == 6


def test_equal_data_give_equal_bytes() -> None:
    first, second = (figure_bytes(figure_of(PANELS), "svg") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("panels", [[], [ForestPanel("m", [])], [ForestPanel("m", [("h", [])])]])
def test_nothing_to_draw(panels: list[ForestPanel]) -> None:
    with pytest.raises(DataError, match="no margins to plot"):
        figure_of(panels)
