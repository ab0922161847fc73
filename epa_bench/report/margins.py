"""The forest plot of a run's margins."""

from epa_bench.pipeline.margin_series import margin_series
from epa_bench.plots.series import Forest
from epa_bench.report.charted import anchor_of
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import Chart, Table


def margin_charts(runs: tuple[LoadedRun, ...]) -> tuple[Chart, ...]:
    """One of every run that has a margin."""
    return tuple(chart for run in runs for chart in _of_run(run))


def _of_run(run: LoadedRun) -> tuple[Chart, ...]:
    from epa_bench.plots.interactive.forest import forest_json

    forest = margin_series(run.board)
    if not forest.panels:
        return ()
    return (Chart(anchor_of("margins", run.name), forest.title, forest_json(forest), _table(forest)),)


def _table(forest: Forest) -> Table:
    rows = [
        (heading, effect.label, effect.text, "" if effect.mde is None else f"{effect.mde:.3g}")
        for panel in forest.panels
        for heading, effects in panel.groups
        for effect in effects
    ]
    header = ("Suite · metric", "Margin", "Figures", "Minimum detectable effect")
    return Table(header, tuple(rows), forest.caption)
