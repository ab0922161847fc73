"""Training curves hold their means and bands; an arm looks the same in every panel."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from epa_bench.core.errors import DataError
from epa_bench.plots.paper import figure_bytes
from epa_bench.plots.series import Band, Range, Training, TrainingPanel
from epa_bench.plots.training import training_figure
from tests.plots.drawn import HOSTILE, SHOWN, texts

DPO = Band("dpo", [1, 2], [Range(1.0, 0.5, 1.25), Range(2.0, 1.5, 2.5)])
ONE_SEED = Band("epa", [1, 2], [Range(3.0, 3.0, 3.0), Range(4.0, 4.0, 4.0)])
CURVES = Training(
    ["dpo", "epa"],
    [TrainingPanel("loss", "loss (nats)", [DPO, ONE_SEED]), TrainingPanel("softmax_mass/weak", "mass", [ONE_SEED])],
    "c",
)


def drawn(axes: Axes) -> list[list[list[float]]]:
    return [np.asarray(line.get_xydata()).tolist() for line in axes.lines]


def figure_of(panels: list[TrainingPanel]) -> Figure:
    return training_figure(Training(["dpo", "epa"], panels, "c"))


def test_lines_and_bands_are_the_data() -> None:
    loss, mass = training_figure(CURVES).axes
    assert drawn(loss) == [[[1, 1], [2, 2]], [[1, 3], [2, 4]]]
    assert drawn(mass) == [[[1, 3], [2, 4]]]
    (band,) = (found for found in loss.collections if isinstance(found, PolyCollection))
    corners = {(x, y) for path in band.get_paths() for x, y in np.asarray(path.vertices).tolist()}
    assert corners == {(1, 0.5), (1, 1.25), (2, 1.5), (2, 2.5)}
    # Of one seed there is no band.
    assert not list(mass.collections)


def test_an_arm_looks_the_same_in_every_panel_and_unlike_others_without_colour() -> None:
    loss, mass = training_figure(CURVES).axes
    dpo, epa = loss.lines
    assert (epa.get_color(), epa.get_marker()) == (mass.lines[0].get_color(), mass.lines[0].get_marker())
    assert dpo.get_marker() != epa.get_marker()
    assert dpo.get_linestyle() != epa.get_linestyle()


def test_text_is_text() -> None:
    panel = TrainingPanel("loss", HOSTILE, [Band(HOSTILE, [1], [Range(0.0, 0.0, 0.0)])])
    assert texts(training_figure(Training([HOSTILE], [panel], HOSTILE))).count(SHOWN) == 3


def test_equal_data_give_equal_bytes() -> None:
    first, second = (figure_bytes(training_figure(CURVES), "svg") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("panels", [[], [TrainingPanel("loss", "loss", [])]])
def test_nothing_to_draw(panels: list[TrainingPanel]) -> None:
    with pytest.raises(DataError, match="no training curves"):
        figure_of(panels)
