"""Reliability diagrams hold the bins of the calibration error."""

from math import log

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from epa_bench.core.errors import DataError
from epa_bench.plots.paper import figure_bytes
from epa_bench.plots.reliability import reliability_figure
from epa_bench.plots.series import Reliability, ReliabilityPanel
from epa_bench.suites.calibration import reliability_bins
from tests.plots.drawn import HOSTILE, SHOWN, texts

BINS = reliability_bins([log(3), log(3), log(3), -log(3), log(99), -0.1, 0.0])
PANELS = [ReliabilityPanel("dpo", 1, "7 pairs", BINS), ReliabilityPanel("epa", 1, "0 pairs", [])]


def bars(axes: Axes) -> list[tuple[float, float, float]]:
    """(left, width, height)."""
    found = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in found]


def test_bars_and_dots_are_the_bins() -> None:
    figure = reliability_figure(Reliability(PANELS, "c"))
    upper, lower, *others = figure.axes
    assert bars(upper) == [(b.low, b.high - b.low, b.accuracy) for b in BINS]
    assert bars(lower) == [(b.low, b.high - b.low, b.n) for b in BINS]
    assert np.asarray(upper.lines[0].get_xydata()).tolist() == [[b.confidence, b.accuracy] for b in BINS]
    assert [bars(axes) for axes in others] == [[], []]
    assert upper.get_xlim()[0] <= min(b.low for b in BINS)


def test_text_is_text() -> None:
    shown = texts(reliability_figure(Reliability([ReliabilityPanel(HOSTILE, 1, HOSTILE, BINS)], HOSTILE)))
    assert shown.count(SHOWN) == 3


def test_equal_data_give_equal_bytes() -> None:
    first, second = (figure_bytes(reliability_figure(Reliability(PANELS, "c")), "svg") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("panels", [[], PANELS[1:]])
def test_nothing_to_draw(panels: list[ReliabilityPanel]) -> None:
    with pytest.raises(DataError, match="no pairs to plot"):
        reliability_figure(Reliability(panels, "c"))
