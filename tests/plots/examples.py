"""A series of every kind, with hostile names: for the figures of files and pages."""

from collections.abc import Callable

from epa_bench.plots.interactive.forest import forest_json
from epa_bench.plots.interactive.linearity import linearity_json
from epa_bench.plots.interactive.reliability import reliability_json
from epa_bench.plots.interactive.trade_off import trade_off_json
from epa_bench.plots.interactive.training import training_json
from epa_bench.plots.series import (
    Band,
    Curve,
    Effect,
    Forest,
    ForestPanel,
    Linearity,
    LinearityPanel,
    Place,
    Range,
    Reliability,
    ReliabilityPanel,
    TradeOff,
    Training,
    TrainingPanel,
)
from epa_bench.suites.calibration import reliability_bins
from tests.plots.drawn import HOSTILE

FOREST = Forest(
    HOSTILE,
    [
        ForestPanel(HOSTILE, [(HOSTILE, [Effect(HOSTILE, HOSTILE, 2.0, (-1.0, 5.0), 4.5)])]),
        ForestPanel("m", [("b", [Effect("ipo", "none", None, None, None), Effect("nll", "+8", 8.0, None, None)])]),
    ],
    "c",
)
TRADE_OFF = TradeOff(
    HOSTILE,
    HOSTILE,
    [
        Curve(
            HOSTILE,
            [
                Place(HOSTILE, Range(2.0, 1.5, 2.75), Range(1.0, 0.5, 1.25)),
                Place("b", Range(4.0, 3.5, 4.5), Range(0.5, 0.25, 1.5), hollow=True),
            ],
        )
    ],
    (0.0, -0.5),
    "c",
)
LINEARITY = Linearity(
    [
        LinearityPanel(HOSTILE, 1, HOSTILE, own=[(-2.0, -1.5), (3.0, 2.0)], mismatched=[(-1.0, 4.0)]),
        LinearityPanel("epa", 1, "", own=[], mismatched=[]),
    ],
    "c",
)
BINS = reliability_bins([1.0, 1.0, -1.0, 4.0])
RELIABILITY = Reliability([ReliabilityPanel(HOSTILE, 1, HOSTILE, BINS), ReliabilityPanel("epa", 1, "", [])], "c")
DPO = Band(HOSTILE, [1, 2], [Range(1.0, 0.5, 1.25), Range(2.0, 1.5, 2.5)])
EPA = Band("epa", [1, 2], [Range(3.0, 3.0, 3.0), Range(4.0, 4.0, 4.0)])
TRAINING = Training(
    [HOSTILE, "epa"], [TrainingPanel("loss", HOSTILE, [DPO, EPA]), TrainingPanel("mass", "mass", [EPA])], "c"
)

FIGURES: dict[str, Callable[[], str]] = {
    "forest": lambda: forest_json(FOREST),
    "trade_off": lambda: trade_off_json(TRADE_OFF),
    "linearity": lambda: linearity_json(LINEARITY),
    "reliability": lambda: reliability_json(RELIABILITY),
    "training": lambda: training_json(TRAINING),
}
"""Name -> plotly's JSON."""
