"""How the checkpoints were trained: curves of every arm, seeds as bands."""

from epa_bench.pipeline.training_series import training_series
from epa_bench.plots.series import Training
from epa_bench.report.charted import anchor_of, charts_section, span
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import Chart, NothingToShow, Section, Table


def training(runs: tuple[LoadedRun, ...]) -> Section:
    """The section."""
    return charts_section("training", "Training", runs, _chart)


def _chart(run: LoadedRun) -> tuple[Chart, ...]:
    from epa_bench.plots.interactive.training import training_json

    if run.folder is None or run.listed is None:
        raise NothingToShow("nothing was trained here: no logs beside an imported table; `epa-bench run` trains")
    found = training_series(run.folder)
    title = f"{run.name}: metrics of training against optimizer steps"
    return (Chart(anchor_of("training", run.name), title, training_json(found), _table(found)),)


def _table(found: Training) -> Table:
    rows = [
        (
            panel.title,
            band.label,
            f"{band.steps[0]:g}",
            span(band.ranges[0]),
            f"{band.steps[-1]:g}",
            span(band.ranges[-1]),
        )
        for panel in found.panels
        for band in panel.bands
    ]
    header = ("Metric", "Arm", "First step", "Mean (lowest, highest seed)", "Last step", "Mean (lowest, highest seed)")
    return Table(header, tuple(rows), found.caption)
