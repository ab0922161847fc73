"""What the implicit rewards are worth: linear in the gold reward, calibrated?"""

from collections.abc import Sequence

from epa_bench.core.errors import ConfigError
from epa_bench.pipeline.linearity_series import linearity_series, points_of
from epa_bench.pipeline.reliability_series import margins_of, reliability_series
from epa_bench.pipeline.run_results import Evaluated, evaluated
from epa_bench.plots.series import Linearity, Reliability
from epa_bench.report.charted import anchor_of, charts_section, with_remedy
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import Chart, NothingToShow, Section, Table


def rewards(runs: tuple[LoadedRun, ...]) -> Section:
    """The section."""
    return charts_section("rewards", "Rewards", runs, _linearity, _reliability)


def _linearity(run: LoadedRun) -> tuple[Chart, ...]:
    return tuple(_scatter(run, suite, found) for suite, found in _results(run, "linearity").items())


def _scatter(run: LoadedRun, suite: str, results: Sequence[Evaluated]) -> Chart:
    from epa_bench.plots.interactive.linearity import linearity_json

    found = linearity_series(run.name, [(result, points_of(result)) for result in results])
    title = f"{run.name}, {suite}: implicit against gold reward of every response, one seed an arm"
    return Chart(anchor_of("linearity", run.name, suite), title, linearity_json(found), _points(found))


def _points(found: Linearity) -> Table:
    rows = [
        (panel.arm, str(panel.seed), panel.note, str(len(panel.own)), str(len(panel.mismatched)))
        for panel in found.panels
    ]
    header = ("Arm", "Seed", "Fit", "Own responses drawn", "Mismatched responses drawn")
    return Table(header, tuple(rows), found.caption)


def _reliability(run: LoadedRun) -> tuple[Chart, ...]:
    return tuple(_diagram(run, suite, found) for suite, found in _results(run, "calibration").items())


def _diagram(run: LoadedRun, suite: str, results: Sequence[Evaluated]) -> Chart:
    from epa_bench.plots.interactive.reliability import reliability_json

    found = reliability_series(run.name, [(result, margins_of(result)) for result in results])
    title = f"{run.name}, {suite}: accuracy against confidence, one seed an arm"
    return Chart(anchor_of("reliability", run.name, suite), title, reliability_json(found), _bins(found))


def _bins(found: Reliability) -> Table:
    rows = [
        (
            panel.arm,
            str(panel.seed),
            f"{each.low:.3f} to {each.high:.3f}",
            str(each.n),
            f"{each.confidence:.3f}",
            f"{each.accuracy:.3f}",
        )
        for panel in found.panels
        for each in panel.bins
    ]
    header = ("Arm", "Seed", "Bin", "Pairs", "Mean confidence", "Accuracy")
    return Table(header, tuple(rows), found.caption)


def _results(run: LoadedRun, kind: str) -> dict[str, list[Evaluated]]:
    """Of each suite the lowest seed of every arm, so that arms stand side by side."""
    if run.folder is None or run.listed is None:
        raise NothingToShow(f"{kind} is drawn from a run's log-probs, and only its table is here")
    try:
        found = evaluated(run.folder, kind)
    except ConfigError as error:
        raise with_remedy(run, kind, error) from error
    return {
        suite: list({each.arm: each for each in sorted(results, key=lambda each: -each.seed)}.values())
        for suite, results in found.items()
    }
