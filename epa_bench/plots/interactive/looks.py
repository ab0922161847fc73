"""What every figure of a page shares: looks readable on light and dark, foreign text as text, and bytes."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import cycle
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]
from plotly.io import to_json  # type: ignore[import-untyped]

from epa_bench.core.one_line import one_line
from epa_bench.plots.palette import COLOURS, MARKERS

NEUTRAL = "#888888"
"""Of what is no series: readable on both papers."""

FAINT = "rgba(136, 136, 136, 0.25)"

_ON_BOTH = {"#0072b2": "#2a8fd4", "#56b4e9": "#9270cc", "#000000": NEUTRAL}
"""Colours of papers that are too dark for a dark page, or then too much like another -> what stands for them."""

_SYMBOLS = {
    "o": "circle",
    "^": "triangle-up",
    "s": "square",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "*": "star",
}
_DASHES = ("solid", "dash", "dashdot", "dot")


@dataclass(frozen=True, slots=True)
class Look:
    """How a series is told from the others, by more than its colour."""

    colour: str
    symbol: str
    dash: str

    @property
    def faint(self) -> str:
        """The colour of a band."""
        red, green, blue = (int(self.colour[start : start + 2], 16) for start in (1, 3, 5))
        return f"rgba({red}, {green}, {blue}, 0.15)"


def looks_of(labels: Iterable[str]) -> dict[str, Look]:
    """Those of the paper's figures, in colours that a dark page does not hide."""
    colours = cycle(_ON_BOTH.get(colour, colour) for colour in COLOURS)
    symbols = cycle(_SYMBOLS[marker] for marker in MARKERS)
    looks = map(Look, colours, symbols, cycle(_DASHES))
    return dict(zip(labels, looks, strict=False))


def plain(text: str) -> str:
    """Foreign text as plotly shows it: its markup and its templates act on nothing of it."""
    return escape(one_line(text), quote=False)


def figure_json(figure: go.Figure, *, height: int, **layout: Any) -> str:
    """Equal figures give equal bytes. `height` in pixels; the width is the page's."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 60, "r": 20, "t": 40, "b": 90},
        # At the bottom, whatever stands above it.
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
    )
    figure.update_xaxes(title_standoff=6)
    figure.update_yaxes(title_standoff=6)
    figure.update_layout(**layout)
    # Not orjson, which writes some numbers otherwise, and which only some machines have.
    text: str = to_json(figure, validate=False, engine="json")
    return text
