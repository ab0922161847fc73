"""The scatter of linearity holds its points, on axes that all panels share."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from epa_bench.core.errors import DataError
from epa_bench.plots.linearity import linearity_figure
from epa_bench.plots.paper import figure_bytes
from epa_bench.plots.series import Linearity, LinearityPanel
from tests.plots.drawn import HOSTILE, SHOWN, texts

PANELS = [
    LinearityPanel("dpo", 1, "r .5", own=[(-2.0, -1.5), (0.0, 0.25), (3.0, 2.0)], mismatched=[(-1.0, 4.0)]),
    LinearityPanel("epa", 1, "r .5", own=[(1.0, 1.0)], mismatched=[]),
    LinearityPanel("none", 1, "r .5", own=[], mismatched=[]),
]


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(x, y) for x, y in np.asarray(line.get_xydata()).tolist()]


def parts(axes: Axes) -> tuple[Line2D, Line2D, Line2D]:
    own, mismatched, slope = axes.lines
    return own, mismatched, slope


def test_points_are_the_data() -> None:
    for axes, panel in zip(linearity_figure(Linearity(PANELS, "c")).axes, PANELS, strict=True):
        own, mismatched, _ = parts(axes)
        assert points(own) == list(panel.own)
        assert points(mismatched) == list(panel.mismatched)
        assert axes.get_title() == f"{panel.arm}, seed 1\nr .5"


def test_kinds_differ_by_more_than_colour() -> None:
    own, mismatched, slope = parts(linearity_figure(Linearity(PANELS, "c")).axes[0])
    assert own.get_color() != mismatched.get_color()
    assert own.get_marker() != mismatched.get_marker()
    assert slope.get_linestyle() == "--"


def test_the_line_has_slope_1_in_the_units_of_the_data() -> None:
    figure = linearity_figure(Linearity(PANELS, "c"))
    figure_bytes(figure, "svg")
    for axes in figure.axes:
        ends = axes.transData.inverted().transform(parts(axes)[2].get_transform().transform([(0, 0), (1, 1)]))
        assert ends[:, 0] == pytest.approx(ends[:, 1], abs=1e-9)
        assert ends[0, 0] != ends[1, 0]


def test_panels_share_their_axes() -> None:
    axes = linearity_figure(Linearity(PANELS, "c")).axes
    assert len({(*panel.get_xlim(), *panel.get_ylim()) for panel in axes}) == 1
    assert axes[0].get_xlim()[1] > 3
    assert axes[0].get_ylim()[1] > 4


def test_text_is_text() -> None:
    shown = texts(linearity_figure(Linearity([LinearityPanel(HOSTILE, 1, HOSTILE, [(0.0, 1.0)], [])], HOSTILE)))
    assert shown.count(SHOWN) == 3
    assert "no points" in texts(linearity_figure(Linearity(PANELS, "c")))


def test_equal_data_give_equal_bytes() -> None:
    first, second = (figure_bytes(linearity_figure(Linearity(PANELS, "c")), "svg") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("panels", [[], [LinearityPanel("dpo", 1, "", [], [])]])
def test_nothing_to_draw(panels: list[LinearityPanel]) -> None:
    with pytest.raises(DataError, match="no points to plot"):
        linearity_figure(Linearity(panels, "c"))
