"""The label curve's figure holds its points and intervals."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from epa_bench.core.errors import DataError
from epa_bench.plots.label_curve import CurvePanel, Point, label_curve_figure
from epa_bench.plots.paper import figure_bytes

POINTS = [Point(10, 0.5, 0.25, 0.75), Point(20, 0.625, 0.5, 0.875)]
PANEL = CurvePanel("dpo", "accuracy", [("random", POINTS), ("VAP", POINTS[:1])])


def test_points_and_intervals_are_the_data() -> None:
    figure = label_curve_figure([PANEL], "c")
    (axes,) = figure.axes
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [[0.5, 0.625], [0.5]]
    bars = [b for b in axes.collections if isinstance(b, LineCollection)]
    ends = [[np.asarray(segment)[:, 1].tolist() for segment in b.get_segments()] for b in bars]
    assert ends == [[[0.25, 0.75], [0.5, 0.875]], [[0.25, 0.75]]]
    # Side by side, and nearer to their own label count than to the next.
    at = [float(np.asarray(line.get_xdata())[0]) for line in axes.lines]
    assert at[0] < 10 < at[1] < 15
    assert len(figure.legends[0].get_texts()) == 2


def test_a_panel_a_metric_and_equal_bytes() -> None:
    figure = label_curve_figure([PANEL] * 3, "$x$ & <b>")
    assert len(figure.axes) == 3
    assert figure_bytes(figure, "svg") == figure_bytes(label_curve_figure([PANEL] * 3, "$x$ & <b>"), "svg")


def test_nothing_to_plot() -> None:
    with pytest.raises(DataError, match="no points to plot"):
        label_curve_figure([CurvePanel("dpo", "accuracy", [("random", [])])], "c")
