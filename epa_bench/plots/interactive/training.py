"""Training curves for a page."""

from math import ceil

import plotly.graph_objects as go  # type: ignore[import-untyped]
from plotly.subplots import make_subplots  # type: ignore[import-untyped]

from epa_bench.plots.interactive.looks import Look, figure_json, looks_of, plain
from epa_bench.plots.series import Band, Training

_COLUMNS = 3
_HEIGHT = 230
"""Pixels of a row of panels."""


def training_json(training: Training) -> str:
    """A panel a metric, arms overlaid; a click on an arm of the legend hides it in all panels."""
    panels = training.panels
    columns = min(len(panels), _COLUMNS)
    rows = ceil(len(panels) / columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[plain(panel.title) for panel in panels],
        vertical_spacing=0.28 / rows,
        horizontal_spacing=0.06,
    )
    looks = looks_of(training.labels)
    named: set[str] = set()
    for number, panel in enumerate(panels):
        for band in panel.bands:
            _draw(figure, band, looks[band.label], number // columns + 1, number % columns + 1, band.label not in named)
            named.add(band.label)
    for column in range(1, columns + 1):
        last = ceil((len(panels) - column + 1) / columns)
        figure.update_xaxes(title="optimizer step", row=last, col=column)
    figure.update_xaxes(zeroline=False)
    # Not 300µ for a learning rate of 3e-4.
    figure.update_yaxes(zeroline=False, exponentformat="e", minexponent=4)
    return figure_json(figure, height=_HEIGHT * rows + 80, hovermode="x")


def _draw(figure: go.Figure, band: Band, look: Look, row: int, column: int, in_legend: bool) -> None:
    ends = [[getattr(found, end) for found in band.ranges] for end in ("low", "high")]
    if ends[0] != ends[1]:
        for values, fill in zip(ends, (None, "tonexty"), strict=True):
            figure.add_scatter(
                x=list(band.steps),
                y=values,
                mode="lines",
                line={"width": 0},
                fill=fill,
                fillcolor=look.faint,
                hoverinfo="skip",
                legendgroup=plain(band.label),
                showlegend=False,
                row=row,
                col=column,
            )
    figure.add_scatter(
        x=list(band.steps),
        y=[found.value for found in band.ranges],
        mode="lines+markers",
        line={"color": look.colour, "dash": look.dash, "width": 1.5},
        marker={"symbol": look.symbol, "size": 7, "maxdisplayed": 6},
        text=[f"{plain(band.label)} {found.value:.4g} ({found.low:.4g}, {found.high:.4g})" for found in band.ranges],
        hovertemplate="%{text}<extra></extra>",
        name=plain(band.label),
        legendgroup=plain(band.label),
        showlegend=in_legend,
        row=row,
        col=column,
    )
