"""A label curve as Markdown, CSV and JSON. Equal curves give equal bytes."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from epa_bench.core.errors import DataError
from epa_bench.core.files import atomic_write_text
from epa_bench.core.metric import MetricInfo
from epa_bench.leaderboard.display import Grid, Line
from epa_bench.leaderboard.markdown import grid_markdown
from epa_bench.studies.label_curve_estimates import CurveLine, Estimate, LabelCurve

_COLUMNS = ("kind", "method", "arm", "metric", "labels", "value", "low", "high", "n_seeds", "n_items")


def write_curve(curve: LabelCurve, path: Path) -> None:
    """PATH.md, .csv and .json. Raises StoreError where the folder cannot be written."""
    for suffix, text in (("md", curve_markdown(curve)), ("csv", curve_csv(curve)), ("json", curve_json(curve))):
        atomic_write_text(path.with_name(f"{path.name}.{suffix}"), text)


def read_curve(path: Path) -> LabelCurve:
    """What `write_curve` wrote as JSON. Raises DataError."""
    try:
        return LabelCurve.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; name the .json file of a label curve") from error
    except ValidationError as error:
        raise DataError(f"{path}: expected the .json file of a label curve: {error.errors()[0]['msg']}") from error


def curve_json(curve: LabelCurve) -> str:
    return json.dumps(curve.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def curve_csv(curve: LabelCurve) -> str:
    """A line for each point, area and difference."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line in curve.lines:
        for kind, labels, found in _figures(curve, line):
            ends = (found.value, found.low, found.high)
            n_seeds = len(curve.settings.seeds)
            writer.writerow([kind, line.method, line.arm, line.metric, labels, *ends, n_seeds, line.test_items])
    return out.getvalue()


def curve_markdown(curve: LabelCurve) -> str:
    """Areas with their differences, then the curves, a metric each."""
    parts = ["# Label curve", _about(curve)]
    for metric, info in curve.metrics.items():
        lines = [line for line in curve.lines if line.metric == metric]
        heading = f"{info.label}{' (%)' if info.unit == '%' else ''}"
        parts += [f"## {heading}: area under the curve", grid_markdown(_areas(lines, info))]
        parts += [f"## {heading} by labels", grid_markdown(_points(curve, lines, info))]
    return "\n\n".join(parts) + "\n"


def _about(curve: LabelCurve) -> str:
    settings = curve.settings
    return (
        f"{curve.about} {len(settings.seeds)} seeds, {curve.trainings} trainings. Each seed starts from "
        f"{settings.cold_start} rows drawn at random, the same for all; {settings.rounds} rounds of "
        f"{settings.per_round} rows each follow. VAP is VAPAL-style: the paper's layer, iterations, normalisation and "
        f"budgets are not known. Written by `epa-bench study label-curve` on {curve.processor}, with "
        f"{', '.join(f'{name} {version}' for name, version in curve.versions.items())}."
    )


def _areas(lines: Sequence[CurveLine], info: MetricInfo) -> Grid:
    first = lines[0].method
    several = any(line.against_first_method is not None for line in lines)
    header = ("Method", "Arm", "Area", "minus random", *([f"minus {first}"] if several else []))
    rows = [
        Line(
            (
                line.method,
                line.arm,
                _cell(line.area, info),
                _cell(line.against_random, info, signed=True),
                *([_cell(line.against_first_method, info, signed=True)] if several else []),
            )
        )
        for line in lines
    ]
    caption = (
        f"Area: mean height of the curve. (low, high): 95 % interval for new seeds and new test items; differences are "
        f"paired by both, and not corrected for their number. ▲ above 0, ▼ below 0, ○ contains 0. "
        f"{lines[0].test_items} test items; {lines[0].left_out} without a value at some point are left out of all."
    )
    return Grid("", header, tuple(rows), (caption,))


def _points(curve: LabelCurve, lines: Sequence[CurveLine], info: MetricInfo) -> Grid:
    header = ("Method", "Arm", *(f"{labels} labels" for labels in curve.settings.labels))
    rows = [Line((line.method, line.arm, *(_cell(point, info) for point in line.points))) for line in lines]
    return Grid("", header, tuple(rows), ("(low, high): 95 % interval as above.",))


def _cell(found: Estimate | None, info: MetricInfo, *, signed: bool = False) -> str:
    if found is None:
        return "-"
    sign = "+" if signed else ""
    value, low, high = (f"{number * info.scale:{sign}.{info.digits}f}" for number in _ends(found))
    mark = f" {'▲' if found.low > 0 else '▼' if found.high < 0 else '○'}" if signed else ""
    return f"{value} ({low}, {high}){mark}"


def _ends(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _figures(curve: LabelCurve, line: CurveLine) -> Iterator[tuple[str, int | str, Estimate]]:
    for labels, point in zip(curve.settings.labels, line.points, strict=True):
        yield "point", labels, point
    yield "area", "", line.area
    if line.against_random is not None:
        yield "area minus random", "", line.against_random
    if line.against_first_method is not None:
        yield f"area minus {curve.lines[0].method}", "", line.against_first_method
