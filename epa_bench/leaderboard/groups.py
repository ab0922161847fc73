"""Arms of several runs by what they were trained from, on and with: which stand on one line of a grouped table.

A line is one run's: what two runs found at the same place is told apart by the run, or refused, never pooled.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, get_args

from epa_bench.core.errors import ConfigError
from epa_bench.core.records import Finite, Record
from epa_bench.leaderboard.board import REFERENCE_METHOD, ArmResult, Leaderboard, MetricTable

Factor = Literal["model", "data", "beta", "learning_rate", "run"]
FACTORS: tuple[Factor, ...] = get_args(Factor)

Key = tuple[str | float, ...]
"""Values of the factors of a line, in the table's order."""


class Place(Record):
    """Where an arm belongs."""

    model: str
    """The reference it was trained from."""

    data: str
    """The preference data."""

    beta: Finite
    learning_rate: Finite
    run: str

    method: str
    """Its column: the method, with its recipe where one name stands for several."""

    def key(self, by: Sequence[Factor]) -> Key:
        return tuple(getattr(self, factor) for factor in by)


class GroupedBoard(Record):
    """Arms called RUN/ARM, each measured against the baseline of its own run, and where they belong."""

    by: tuple[Factor, ...]
    """What a line has in common, from the left."""

    baseline: str
    """The column that all others are measured against."""

    places: dict[str, Place]
    """Of every trained arm."""

    board: Leaderboard

    @property
    def candidates(self) -> list[str]:
        """The other columns, by name."""
        return sorted({place.method for place in self.places.values()} - {self.baseline})

    def lines(self, table: MetricTable) -> Iterator[tuple[Key, dict[str, ArmResult]]]:
        """Each line's results by column, sorted by the line's factors; lines without any result are left out."""
        found: dict[Key, dict[str, ArmResult]] = {}
        for result in table.arms:
            if result.arm in self.places:
                place = self.places[result.arm]
                found.setdefault(place.key(self.by), {})[place.method] = result
        yield from sorted(found.items(), key=lambda line: line[0])


def factors_of(text: str) -> tuple[Factor, ...]:
    """`model,data,beta` as factors, in that order. Raises ConfigError for an unknown or repeated one."""
    named = [name.strip() for name in text.split(",")]
    chosen = tuple(factor for name in named for factor in FACTORS if factor == name)
    if len(chosen) < len(named) or len(set(chosen)) < len(named):
        raise ConfigError(f"--by {text}: expected one or several of {', '.join(FACTORS)}, each once, e.g. model,beta")
    return chosen


def group_board(board: Leaderboard, places: Mapping[str, Place], by: tuple[Factor, ...], baseline: str) -> GroupedBoard:
    """`places` of every arm of `board` but references. The learning rate is added to `by` where arms that would share a
    cell differ in it.

    Raises ConfigError where a line would hold several runs, or a cell several arms.
    """
    if "learning_rate" not in by and _same_but_for_rate(places.values(), by):
        by = (*by, "learning_rate")
    _refuse_pooling(places, by)
    return GroupedBoard(by=by, baseline=baseline, places=dict(places), board=board)


def is_trained(result: ArmResult) -> bool:
    """Whether an arm RUN/ARM is no reference, which has no beta."""
    return result.method.rpartition("/")[2] != REFERENCE_METHOD


def _same_but_for_rate(places: Iterable[Place], by: Sequence[Factor]) -> bool:
    rates: dict[tuple[str, str, Key], set[float]] = {}
    for place in places:
        rates.setdefault((place.run, place.method, place.key(by)), set()).add(place.learning_rate)
    return any(len(found) > 1 for found in rates.values())


def _refuse_pooling(places: Mapping[str, Place], by: Sequence[Factor]) -> None:
    first_of_line: dict[Key, str] = {}
    first_of_cell: dict[tuple[Key, str], str] = {}
    for arm, place in sorted(places.items()):
        key = place.key(by)
        other = first_of_line.setdefault(key, arm)
        if places[other].run == place.run:
            other = first_of_cell.setdefault((key, place.method), arm)
            if other == arm:
                continue
        raise ConfigError(_pooled(other, arm, places[other], place, by))


def _pooled(other: str, arm: str, theirs: Place, ours: Place, by: Sequence[Factor]) -> str:
    where = ", ".join(f"{factor} {value}" for factor, value in zip(by, ours.key(by), strict=True))
    differing = [factor for factor in FACTORS if factor not in by and getattr(theirs, factor) != getattr(ours, factor)]
    said = f"--by {','.join(by)}: {other} and {arm} would stand on one line ({where}), and nothing is pooled. "
    if differing == ["run"]:
        return said + (
            f"{theirs.run} and {ours.run} have that in common, so one repeats the other or differs in what no column "
            f"shows (`epa-bench diff` tells): leave one out, or add run to --by"
        )
    return said + f"They differ in {', '.join(differing)}: add one of these to --by"
