"""Implicit against gold reward, for a page."""

from math import ceil

import plotly.graph_objects as go  # type: ignore[import-untyped]
from plotly.subplots import make_subplots  # type: ignore[import-untyped]

from epa_bench.plots.interactive.looks import NEUTRAL, figure_json, looks_of, plain
from epa_bench.plots.series import Linearity, LinearityPanel

_COLUMNS = 4
_HEIGHT = 340
"""Pixels of a row of panels."""


def linearity_json(linearity: Linearity) -> str:
    """A panel a checkpoint on the same axes, each with the line of slope 1."""
    panels = linearity.panels
    columns = min(len(panels), _COLUMNS)
    rows = ceil(len(panels) / columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[f"{plain(panel.arm)}, seed {panel.seed}<br>{plain(panel.note)}" for panel in panels],
        vertical_spacing=0.25 / rows,
        horizontal_spacing=0.02,
    )
    points = [point for panel in panels for point in (*panel.own, *panel.mismatched)]
    ends = [min(gold for gold, _ in points), max(gold for gold, _ in points)] if points else [0.0, 1.0]
    for number, panel in enumerate(panels):
        _draw(figure, panel, ends, number // columns + 1, number % columns + 1)
    figure.update_xaxes(title="gold reward", showticklabels=True, zeroline=False)
    figure.update_yaxes(title="implicit reward (nats)", col=1)
    figure.update_yaxes(zeroline=False)
    return figure_json(figure, height=_HEIGHT * rows + 60, margin={"l": 60, "r": 20, "t": 60, "b": 90})


def _draw(figure: go.Figure, panel: LinearityPanel, ends: list[float], row: int, column: int) -> None:
    own, mismatched = looks_of(["own", "mismatched"]).values()
    first = (row, column) == (1, 1)
    kinds = (
        ("mismatched responses", panel.mismatched, mismatched.colour, "x-thin-open"),
        ("own responses", panel.own, own.colour, "circle-open"),
    )
    for name, points, colour, symbol in kinds:
        figure.add_scatter(
            x=[gold for gold, _ in points],
            y=[reward for _, reward in points],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.75},
            hovertemplate="gold %{x:.3f}, implicit %{y:.3f}<extra></extra>",
            name=name,
            legendgroup=name,
            showlegend=first,
            row=row,
            col=column,
        )
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        line={"color": NEUTRAL, "dash": "dash"},
        hoverinfo="skip",
        name="slope 1",
        legendgroup="slope 1",
        showlegend=first,
        row=row,
        col=column,
    )
