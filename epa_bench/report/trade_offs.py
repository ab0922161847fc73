"""What was gained and what it cost: reward against KL, win rate against length."""

from epa_bench.core.errors import EpaBenchError
from epa_bench.pipeline.frontier import frontier_of
from epa_bench.pipeline.frontier_series import frontier_series
from epa_bench.pipeline.length_series import length_series
from epa_bench.plots.series import TradeOff
from epa_bench.report.charted import anchor_of, charts_section, span, with_remedy
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import Chart, NothingToShow, Section, Table

_REWARD, _KL = "generation.gold_reward", "kl.kl_k3_tokens"


def trade_offs(runs: tuple[LoadedRun, ...]) -> Section:
    """The section."""
    return charts_section("frontier", "Frontier", runs, _frontier, _lengths)


def _frontier(run: LoadedRun) -> tuple[Chart, ...]:
    if run.folder is None:
        raise NothingToShow("the frontier is made of a run's rows, and only its table is here")
    try:
        found = frontier_of(run.folder, reward=_REWARD, kl=_KL, baseline=run.board.baseline)
    except EpaBenchError as error:
        raise with_remedy(run, "kl", error) from error
    return (_chart(anchor_of("frontier", run.name), f"{run.name}: reward against KL", frontier_series(found)),)


def _lengths(run: LoadedRun) -> tuple[Chart, ...]:
    return tuple(
        _chart(anchor_of("length", run.name, suite), f"{run.name}, {suite}: win rate against length", found)
        for suite, found in length_series(run.board).items()
    )


def _chart(anchor: str, title: str, found: TradeOff) -> Chart:
    from epa_bench.plots.interactive.trade_off import trade_off_json

    reference = found.reference
    rows = [] if reference is None else [("reference", "", f"{reference[0]:.4g}", f"{reference[1]:.4g}", "")]
    rows += [
        (curve.label, place.note, span(place.x), span(place.y), "yes" if place.hollow else "")
        for curve in found.curves
        for place in curve.places
    ]
    table = Table(("Arm", "", found.x_label, found.y_label, "Hollow"), tuple(rows), found.caption)
    return Chart(anchor, title, trade_off_json(found), table)
