"""Forest plots for a page."""

from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]
from plotly.subplots import make_subplots  # type: ignore[import-untyped]

from epa_bench.plots.interactive.looks import FAINT, figure_json, looks_of, plain
from epa_bench.plots.series import Effect, Forest, ForestPanel

_LINE, _PANEL, _CHARACTER = 24, 70, 6.4
"""Pixels of a line, of a panel's axis with its label, and of a letter."""


def forest_json(forest: Forest) -> str:
    """Panels one below the other, zero in the middle of each, the figures beside the lines."""
    panels = forest.panels
    lines = [len(panel.lines) for panel in panels]
    inner = _LINE * sum(lines) + _PANEL * (len(panels) - 1)
    figure = make_subplots(
        rows=len(panels), cols=1, row_heights=lines, vertical_spacing=_PANEL / inner if len(panels) > 1 else 0
    )
    for row, panel in enumerate(panels, start=1):
        _draw(figure, panel, row)
    texts = [effect.text for panel in panels for _, effect in panel.lines if effect is not None]
    height = inner + 20 + 90
    return figure_json(
        figure,
        height=height,
        margin={"l": 60, "r": 30 + int(_CHARACTER * max(map(len, texts), default=0)), "t": 20, "b": 90},
        barmode="overlay",
    )


def _draw(figure: go.Figure, panel: ForestPanel, row: int) -> None:
    (look,) = looks_of(["margin"]).values()
    effects = [(line, label, effect) for line, (label, effect) in enumerate(panel.lines) if effect is not None]
    mdes = [(line, effect.mde) for line, _, effect in effects if effect.mde is not None]
    first = row == 1
    figure.add_bar(
        x=[2 * mde for _, mde in mdes],
        base=[-mde for _, mde in mdes],
        y=[line for line, _ in mdes],
        orientation="h",
        width=0.7,
        marker={"color": FAINT},
        hoverinfo="skip",
        name="below the minimum detectable effect",
        legendgroup="mde",
        showlegend=first,
        row=row,
        col=1,
    )
    for with_interval, name in ((True, "margin and its interval"), (False, "margin without an interval")):
        shown = [each for each in effects if (each[2].interval is not None) == with_interval]
        shown = [each for each in shown if each[2].value is not None]
        figure.add_scatter(
            x=[effect.value for _, _, effect in shown],
            y=[line for line, _, _ in shown],
            error_x=_bars([effect for _, _, effect in shown]) if with_interval else None,
            mode="markers",
            marker={"color": look.colour, "symbol": "circle" if with_interval else "circle-open", "size": 8},
            text=[f"{plain(label)}: {plain(effect.text)}" for _, label, effect in shown],
            hovertemplate="%{text}<extra></extra>",
            name=name,
            legendgroup=name,
            showlegend=first and with_interval,
            row=row,
            col=1,
        )
    reach = 1.05 * panel.reach or 1
    figure.update_xaxes(range=[-reach, reach], zeroline=True, title=plain(panel.x_label), row=row, col=1)
    figure.update_yaxes(
        range=[len(panel.lines) - 0.4, -0.6],
        tickvals=list(range(len(panel.lines))),
        ticktext=[f"<b>{plain(label)}</b>" if effect is None else plain(label) for label, effect in panel.lines],
        showgrid=False,
        zeroline=False,
        automargin=True,
        row=row,
        col=1,
    )
    axis = "y" if row == 1 else f"y{row}"
    for line, _, effect in effects:
        figure.add_annotation(
            text=plain(effect.text), x=1.01, xref="paper", y=line, yref=axis, xanchor="left", showarrow=False
        )


def _bars(effects: list[Effect]) -> dict[str, Any]:
    """Distances of the intervals' ends."""
    spans = [(effect.value or 0.0, effect.interval or (0.0, 0.0)) for effect in effects]
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, (_, high) in spans],
        "arrayminus": [value - low for value, (low, _) in spans],
        "thickness": 1.5,
        "width": 0,
    }
