"""A label curve as a figure."""

from pathlib import Path
from typing import Any

from epa_bench.plots.files import write_figure
from epa_bench.plots.label_curve import CurvePanel, Point, label_curve_figure
from epa_bench.plots.paper import Format
from epa_bench.studies.label_curve_estimates import CurveLine, LabelCurve
from epa_bench.studies.label_curve_table import read_curve


def plot_label_curve(file: Path, only: Format | None) -> list[dict[str, Any]]:
    """Writes NAME.svg and .png beside NAME.json; gives a row a curve. Raises DataError for another file."""
    curve = read_curve(file)
    figure = label_curve_figure(
        curve_panels(curve),
        f"{len(curve.settings.seeds)} seeds. Lines: 95 % intervals for new seeds and test items, each curve on its "
        "own. Whether two differ is in the table, where they are paired.",
    )
    plot = write_figure(figure, file.with_suffix(""), only)
    return [
        {"method": line.method, "metric": line.metric, "arm": line.arm, "points": len(line.points), "plot": plot}
        for line in curve.lines
    ]


def curve_panels(curve: LabelCurve) -> list[CurvePanel]:
    """A panel a metric and method."""
    panels = []
    for metric, info in curve.metrics.items():
        for method in dict.fromkeys(line.method for line in curve.lines):
            lines = [line for line in curve.lines if (line.metric, line.method) == (metric, method)]
            y_label = f"{info.label} (%)" if info.unit == "%" else info.label
            panels.append(CurvePanel(method, y_label, [(line.arm, _points(curve, line)) for line in lines]))
    return panels


def _points(curve: LabelCurve, line: CurveLine) -> list[Point]:
    scale = curve.metrics[line.metric].scale
    return [
        Point(labels, found.value * scale, found.low * scale, found.high * scale)
        for labels, found in zip(curve.settings.labels, line.points, strict=True)
    ]
