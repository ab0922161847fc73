"""What the sections of charts share: their data, and how a table says what a chart shows."""

from collections.abc import Callable
from dataclasses import dataclass

from epa_bench.core.digest import digest_of
from epa_bench.core.errors import EpaBenchError
from epa_bench.plots.series import Range
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import Chart, NothingToShow, Section, each_run


@dataclass(frozen=True, slots=True)
class Charts:
    """What `charts.html` reads."""

    charts: tuple[Chart, ...]
    remarks: tuple[str, ...] = ()


Draw = Callable[[LoadedRun], tuple[Chart, ...]]
"""Charts of a run; raises what says why there are none."""


def charts_section(anchor: str, title: str, runs: tuple[LoadedRun, ...], *draw: Draw) -> Section:
    """A section of charts, each kind of every run; of what there is not, the reason."""
    drawn = [each_run(runs, kind) for kind in draw]
    charts = tuple(chart for found, _ in drawn for of_run in found for chart in of_run)
    missing = tuple(reason for _, reasons in drawn for reason in reasons)
    return Section(anchor, title, "charts.html", Charts(charts), missing)


def with_remedy(run: LoadedRun, suite: str, error: EpaBenchError) -> NothingToShow:
    """The reason with the command that makes what is missing."""
    command = f"epa-bench run {run.folder}/sweep.yaml --set 'suites.{suite}={{}}'"
    return NothingToShow(f"{error}. To have it: {command}")


def anchor_of(kind: str, *names: str) -> str:
    """Unique for the names, whatever characters they hold."""
    return f"{kind}-{digest_of(list(names))[:8]}"


def span(found: Range) -> str:
    """An estimate with the ends of its interval, as tables beside charts show it."""
    return f"{found.value:.4g} ({found.low:.4g}, {found.high:.4g})"
