"""Reliability diagrams for a page."""

from math import ceil

import plotly.graph_objects as go  # type: ignore[import-untyped]
from plotly.subplots import make_subplots  # type: ignore[import-untyped]

from epa_bench.plots.interactive.looks import FAINT, NEUTRAL, figure_json, looks_of, plain
from epa_bench.plots.series import Reliability, ReliabilityPanel

_COLUMNS = 4
_HEIGHT = 320
"""Pixels of a row of panels."""


def reliability_json(reliability: Reliability) -> str:
    """Accuracy as a bar, a dot at mean confidence that is as large as its bin has pairs; on the diagonal they agree."""
    panels = reliability.panels
    columns = min(len(panels), _COLUMNS)
    rows = ceil(len(panels) / columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[f"{plain(panel.arm)}, seed {panel.seed}<br>{plain(panel.note)}" for panel in panels],
        vertical_spacing=0.25 / rows,
        horizontal_spacing=0.05,
    )
    most = max((found.n for panel in panels for found in panel.bins), default=1)
    for number, panel in enumerate(panels):
        _draw(figure, panel, most, number // columns + 1, number % columns + 1)
    figure.update_xaxes(title="confidence", range=[0.45, 1.02])
    figure.update_yaxes(range=[0, 1.05])
    figure.update_yaxes(title="accuracy", col=1)
    return figure_json(figure, height=_HEIGHT * rows + 60, margin={"l": 60, "r": 20, "t": 60, "b": 90})


def _draw(figure: go.Figure, panel: ReliabilityPanel, most: int, row: int, column: int) -> None:
    (look,) = looks_of(["dot"]).values()
    first = (row, column) == (1, 1)
    at = {"row": row, "col": column}
    figure.add_bar(
        x=[(found.low + found.high) / 2 for found in panel.bins],
        y=[found.accuracy for found in panel.bins],
        width=[found.high - found.low for found in panel.bins],
        marker={"color": FAINT, "line": {"color": NEUTRAL, "width": 1}},
        hoverinfo="skip",
        name="accuracy",
        legendgroup="accuracy",
        showlegend=first,
        **at,
    )
    figure.add_scatter(
        x=[found.confidence for found in panel.bins],
        y=[found.accuracy for found in panel.bins],
        mode="markers",
        marker={"color": look.colour, "size": [6 + 10 * (found.n / most) ** 0.5 for found in panel.bins]},
        text=[f"{found.n} pairs" for found in panel.bins],
        hovertemplate="%{text}: confidence %{x:.3f}, accuracy %{y:.3f}<extra></extra>",
        name="at mean confidence, larger for more pairs",
        legendgroup="dot",
        showlegend=first,
        **at,
    )
    figure.add_scatter(
        x=[0.45, 1],
        y=[0.45, 1],
        mode="lines",
        line={"color": NEUTRAL, "dash": "dash"},
        hoverinfo="skip",
        name="calibrated",
        legendgroup="calibrated",
        showlegend=first,
        **at,
    )
