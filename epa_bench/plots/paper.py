"""What every figure shares: the style of a paper, series told apart without colour, and bytes."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from math import ceil
from textwrap import fill
from typing import Any, Literal

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from epa_bench.core.one_line import one_line
from epa_bench.plots.palette import COLOURS, MARKERS

Format = Literal["svg", "png"]

INK, GREY, LIGHT = "#222222", "#777777", "#d9d9d9"

_SHAPES, _DIGITS = re.compile(rb"<(?:path|use) [^>]*>"), re.compile(rb"(\.\d\d)\d+")

_LINE = 0.16
"""Inches of a line of the legend."""

_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 4,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    # Names are text: a dollar sign starts no formula.
    "text.parse_math": False,
    # Text stays text, to be searched and read aloud; ids do not differ from run to run.
    "svg.fonttype": "none",
    "svg.hashsalt": "epa-bench",
}


@contextmanager
def paper_style() -> Iterator[None]:
    """The same for everybody: nothing of a user's matplotlibrc is left. Also a decorator."""
    with matplotlib.style.context(_STYLE, after_reset=True):
        yield


@paper_style()
def figure_bytes(figure: Figure, form: Format) -> bytes:
    """The figure as a file. SVG of equal figures is equal; PNG has 300 dots an inch."""
    out = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    figure.savefig(out, format=form, metadata=metadata)
    return _shortened(out.getvalue()) if form == "svg" else out.getvalue()


def _shortened(svg: bytes) -> bytes:
    """Coordinates to a hundredth of a point, which nobody sees: half the bytes. Text stays as it is."""
    return _SHAPES.sub(lambda tag: _DIGITS.sub(rb"\1", tag[0]), svg)


def series_looks() -> Iterator[tuple[str, str]]:
    """Colour and marker of one series after the other, without end."""
    return zip(cycle(COLOURS), cycle(MARKERS), strict=False)


def panel_title(*texts: str) -> str:
    """Each in as many lines as a panel of two inches needs."""
    return "\n".join(fill(one_line(text), width=32) for text in texts)


def legend_below(figure: Figure, handles: Sequence[Artist], labels: Sequence[str], caption: str) -> None:
    """The legend in as many columns as fit, with the caption over it, below all panels: the figure grows by them."""
    names = [one_line(label) for label in labels]
    width = int(16 * figure.get_figwidth())
    columns = max(1, min(len(names), width // (max(map(len, names)) + 7)))
    wrapped = fill(one_line(caption), width=width)
    lines = wrapped.count("\n") + 1 + ceil(len(names) / columns)
    figure.set_figheight(figure.get_figheight() + _LINE * lines)
    figure.legend(handles, names, loc="outside lower center", ncols=columns, title=wrapped)
