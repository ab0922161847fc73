"""How far the judges can be trusted: agreement of the orders, effect of the place, what failed, what it cost."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from epa_bench.config.judge import Prices
from epa_bench.core.cell import Cell
from epa_bench.core.files import read_records
from epa_bench.core.records import Verdict
from epa_bench.judges.asking import error_kind
from epa_bench.judges.cost import dollars_of
from epa_bench.judges.pair_summary import PairwiseSummary, summarise_pairs
from epa_bench.judges.records import MatchVerdict, PairwiseVerdict, RatingVerdict, Reply
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import NothingToShow, Section, Table, each_run

_HEADER = (
    "Suite",
    "Arm",
    "Verdicts",
    "Failed or unread",
    "Equal answers",
    "Both orders agree",
    "Shown first wins",
    "Mass outside labels",
    "Speaks to the judge",
    "Tokens in / out",
    "Dollars",
)

_ALWAYS = 4
"""The first columns, which every judge has."""

_CAPTION = (
    "Over all seeds of an arm. Shown first wins: mean probability, over all calls, that the answer shown first wins; "
    "with both orders its distance from 50 % is the effect of the place, with one drawn order it is so in expectation. "
    "Tokens of kept replies, whichever sweep paid for them. A failed verdict is counted, never a score."
)


@dataclass(frozen=True, slots=True)
class Judged:
    """Of one run."""

    run: str
    judges: tuple[tuple[str, str], ...]
    """Suite and who judged it."""

    table: Table


@dataclass(frozen=True, slots=True)
class Judging:
    """What the template reads."""

    runs: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class _Counted:
    """Of one arm in one suite; a figure that its protocol does not have is empty."""

    given: int
    errors: Mapping[str, int]
    equal: str = ""
    agree: str = ""
    first: str = ""
    outside: str = ""
    intrusions: str = ""
    replies: tuple[Reply, ...] = ()


def judge(runs: tuple[LoadedRun, ...]) -> Section:
    """The section."""
    found, missing = each_run(runs, _of_run)
    return Section("judge", "Judge", "judge.html", Judging(found), missing)


def _of_run(run: LoadedRun) -> Judged:
    judges = {table.suite: table.judge for table in run.board.tables if table.judge is not None}
    if not judges:
        raise NothingToShow("no suite of this run has a judge")
    cells: dict[tuple[str, str], list[Cell]] = {}
    for result in run.results():
        if result.suite in judges:
            verdicts = run.input_of(run.open(result.cells[0]), "verdicts")
            if verdicts is not None:
                cells.setdefault((result.suite, result.arm), []).append(verdicts)
    prices = _prices(run)
    lines = tuple(_line(suite, arm, _counted(of), prices) for (suite, arm), of in cells.items())
    return Judged(run.name, tuple(judges.items()), _table(lines))


def _table(lines: tuple[tuple[str, ...], ...]) -> Table:
    """Without the columns that no protocol here has: a programmatic judge is asked in no order and costs nothing."""
    if not lines:
        return Table((), (), "No calls are listed: these judgments were made elsewhere.")
    kept = [number for number in range(len(_HEADER)) if any(line[number] for line in lines)]
    rows = tuple(tuple(line[number] for number in kept) for line in lines)
    caption = (
        _CAPTION if len(kept) > _ALWAYS else "Over all seeds of an arm. A failed verdict is counted, never a score."
    )
    return Table(tuple(_HEADER[number] for number in kept), rows, caption)


def _prices(run: LoadedRun) -> Prices | None:
    prices = (run.sweep or {}).get("judge", {}).get("prices")
    return None if prices is None else Prices.model_validate({name: float(value) for name, value in prices.items()})


def _counted(cells: Sequence[Cell]) -> _Counted:
    """What the verdicts of some cells of one step say."""
    step, config = cells[0].manifest.recipe["step"], cells[0].manifest.recipe["config"]
    paths = [cell.file("verdicts.jsonl") for cell in cells]
    if step == "verdicts":
        return _plain([row for path in paths for row in read_records(path, Verdict)])
    if step == "judged_pairs":
        pairs = [row for path in paths for row in read_records(path, PairwiseVerdict)]
        return _pairs(summarise_pairs(pairs), _replies(call.reply for row in pairs for call in row.orders))
    if config["mode"] == "single":
        ratings = [row for path in paths for row in read_records(path, RatingVerdict)]
        return _plain(ratings, _replies(row.reply for row in ratings))
    return _matches([row for path in paths for row in read_records(path, MatchVerdict)])


def _plain(verdicts: Sequence[Verdict | RatingVerdict], replies: tuple[Reply, ...] = ()) -> _Counted:
    given = sum(verdict.error is None for verdict in verdicts)
    return _Counted(given, _errors(verdicts), replies=replies)


def _pairs(summary: PairwiseSummary, replies: tuple[Reply, ...]) -> _Counted:
    return _Counted(
        given=summary.verdicts,
        errors=summary.errors,
        equal=str(summary.identical),
        agree=_share(summary.agreement, summary.both_orders),
        first=_share(summary.first_wins),
        outside=_share(summary.outside, digits=2),
        intrusions=str(sum(summary.intrusions.values())),
        replies=replies,
    )


def _matches(matches: Sequence[MatchVerdict]) -> _Counted:
    games = [game for match in matches for game in match.games if game.winner is not None]
    decided = [game for game in games if game.winner != "tie"]
    first = [(game.winner == "output") == game.swapped for game in decided]
    judged = [match for match in matches if match.error is None]
    return _Counted(
        given=len(judged),
        errors=_errors(matches),
        agree=_share(_mean(match.consistent for match in judged), len(judged)),
        first=_share(_mean(first), len(first)),
        replies=_replies(game.reply for match in matches for game in match.games),
    )


def _errors(verdicts: Iterable[Verdict | RatingVerdict | MatchVerdict]) -> Counter[str]:
    return Counter(error_kind(verdict.error) for verdict in verdicts if verdict.error is not None)


def _replies(replies: Iterator[Reply | None]) -> tuple[Reply, ...]:
    return tuple(reply for reply in replies if reply is not None)


def _line(suite: str, arm: str, counted: _Counted, prices: Prices | None) -> tuple[str, ...]:
    usages = [reply.usage for reply in counted.replies]
    failed = sum(counted.errors.values())
    reasons = ", ".join(f"{kind} {number}" for kind, number in sorted(counted.errors.items()))
    tokens = f"{sum(u.input_tokens for u in usages)} / {sum(u.output_tokens for u in usages)}" if usages else ""
    estimated = " (some estimated)" if any(usage.estimated for usage in usages) else ""
    dollars = f"{sum(dollars_of(usage, prices) for usage in usages):.4f}" if usages and prices else ""
    return (
        suite,
        arm,
        str(counted.given),
        f"⚠ {failed} ({reasons})" if failed else "0",
        counted.equal,
        counted.agree,
        counted.first,
        counted.outside,
        counted.intrusions,
        tokens + estimated,
        dollars,
    )


def _share(value: float | None, of: int | None = None, digits: int = 1) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}%}" + (f" of {of}" if of is not None else "")


def _mean(values: Iterable[bool]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None
