"""One metric against another, for a page."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from epa_bench.plots.interactive.looks import NEUTRAL, figure_json, looks_of, plain
from epa_bench.plots.series import Curve, Range, TradeOff


def trade_off_json(trade_off: TradeOff) -> str:
    """Arms with their intervals, methods as curves; the star is the reference."""
    figure = go.Figure()
    if trade_off.reference is not None:
        x, y = trade_off.reference
        figure.add_scatter(
            x=[x], y=[y], mode="markers", marker={"symbol": "star", "size": 12, "color": NEUTRAL}, name="reference"
        )
    looks = looks_of(curve.label for curve in trade_off.curves)
    for curve in trade_off.curves:
        look = looks[curve.label]
        figure.add_scatter(
            x=[place.x.value for place in curve.places],
            y=[place.y.value for place in curve.places],
            error_x=_bars([place.x for place in curve.places]),
            error_y=_bars([place.y for place in curve.places]),
            mode="lines+markers+text",
            line={"color": look.colour, "dash": look.dash},
            marker={
                "symbol": [f"{look.symbol}-open" if place.hollow else look.symbol for place in curve.places],
                "size": 10,
            },
            text=[plain(place.note) for place in curve.places],
            textposition="bottom right",
            textfont={"color": NEUTRAL, "size": 11},
            hovertext=[_hover(curve, number) for number in range(len(curve.places))],
            hovertemplate="%{hovertext}<extra></extra>",
            name=plain(curve.label),
        )
    return figure_json(
        figure,
        height=440,
        margin={"l": 60, "r": 20, "t": 20, "b": 90},
        xaxis={"title": plain(trade_off.x_label), "zeroline": False},
        yaxis={"title": plain(trade_off.y_label), "zeroline": False},
        showlegend=True,
    )


def _bars(ranges: Sequence[Range]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [found.high - found.value for found in ranges],
        "arrayminus": [found.value - found.low for found in ranges],
        "thickness": 1,
        "width": 3,
    }


def _hover(curve: Curve, number: int) -> str:
    place = curve.places[number]
    spans = [f"{found.value:.4g} ({found.low:.4g}, {found.high:.4g})" for found in (place.x, place.y)]
    return "<br>".join([f"{plain(curve.label)} {plain(place.note)}", f"x {spans[0]}", f"y {spans[1]}"])
