"""The figure of a trend holds the margins and their intervals."""

import numpy as np
import pytest

from epa_bench.core.errors import DataError
from epa_bench.plots.paper import figure_bytes
from epa_bench.plots.trend import Moment, TrendPanel, trend_figure
from tests.plots.drawn import HOSTILE, SHOWN, texts

PANELS = [
    TrendPanel("win rate", "margin (%)", [("epa", [Moment(0, 2.0, (1.0, 3.0)), Moment(2, 4.0, None)])]),
    TrendPanel("length", "margin (tokens)", [("epa", []), ("ipo", [Moment(1, -1.0, (-2.0, 0.0))])]),
]
VERSIONS = ["a 2026-01-01", "b 2026-02-01", "c 2026-03-01"]


def test_lines_are_the_data() -> None:
    figure = trend_figure(PANELS, VERSIONS, title="t", caption="c")
    first, second = figure.axes
    zero, margins = (np.asarray(line.get_xydata()).tolist() for line in first.lines)
    assert [y for _, y in zero] == [0, 0]
    assert margins == [[0, 2], [2, 4]]
    (of_ipo,) = [np.asarray(line.get_xydata()).tolist() for line in second.lines[1:]]
    assert of_ipo == [[pytest.approx(1.04), -1]]
    # An arm looks the same in every panel.
    assert first.lines[1].get_color() != second.lines[1].get_color()
    assert [label.get_text() for label in second.get_xticklabels()] == VERSIONS
    assert (first.get_ylabel(), second.get_ylabel()) == ("margin (%)", "margin (tokens)")


def test_text_is_text_and_bytes_are_equal() -> None:
    panels = [TrendPanel(HOSTILE, "y", [(HOSTILE, PANELS[0].series[0][1])])]
    shown, first, second = (trend_figure(panels, [HOSTILE, "b", "c"], title=HOSTILE, caption="c") for _ in range(3))
    assert texts(shown).count(SHOWN) >= 3
    assert figure_bytes(first, "svg") == figure_bytes(second, "svg")


def test_nothing_to_draw() -> None:
    with pytest.raises(DataError, match="no margins to plot"):
        trend_figure([TrendPanel("t", "y", [("epa", [])])], VERSIONS, title="t", caption="c")
