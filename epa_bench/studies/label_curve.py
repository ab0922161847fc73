"""Label curves: what a model is worth against how many labels it had, by how the rows to label were chosen.

Every seed starts from rows drawn at random. A round lets each arm choose further rows by the model it has, and trains
anew from the base. All arms of a seed share the first rows and the seed of the training, so they are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from epa_bench.acquisition.acquire import acquire
from epa_bench.acquisition.model import AcquisitionModel, VapSettings
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import Record
from epa_bench.data.pool import Pool

RANDOM = "random"


class CurveArm(Record):
    """A way to choose rows."""

    name: str
    representation: str
    selector: str | None = None
    unit: bool = False
    """Of VAP: directions without their magnitude."""


class CurveSettings(Record):
    """How many rows are labelled when."""

    seeds: tuple[int, ...]
    cold_start: int = 40
    """Rows drawn at random."""

    per_round: int = 40
    rounds: int = 4

    @property
    def labels(self) -> tuple[int, ...]:
        """At which the model is evaluated."""
        return tuple(self.cold_start + n * self.per_round for n in range(self.rounds + 1))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A trained model and what it is worth."""

    model: AcquisitionModel[Any]

    values: Mapping[str, Mapping[str, float]]
    """Metric -> test item -> value; an item without a value is missing."""


class CurveTask(Protocol):
    """What labels are bought for."""

    @property
    def about(self) -> str:
        """Sentences for the table: data, model, training."""

    @property
    def pool(self) -> Pool: ...

    @property
    def methods(self) -> Sequence[str]: ...

    @property
    def metrics(self) -> Mapping[str, MetricInfo]: ...

    def train(self, method: str, rows: Sequence[int], seed: int) -> Evaluated:
        """From the base, on rows of the pool with their labels."""


CurveValues = dict[tuple[str, str, int, int], Mapping[str, Mapping[str, float]]]
"""(method, arm, seed, labels) -> metric -> test item -> value."""


def train_all(
    task: CurveTask,
    arms: Sequence[CurveArm],
    settings: CurveSettings,
    seeds: Sequence[int],
    say: Callable[[str], None] = lambda line: None,
) -> CurveValues:
    """The values of some seeds, which do not depend on the others."""
    values: CurveValues = {}
    for seed in seeds:
        cold = acquire(task.pool, None, (), settings.cold_start, seed, representation=RANDOM)
        first = [row.row for row in cold.chosen]
        for method in task.methods:
            say(f"seed {seed}, {method}")
            start = task.train(method, first, seed)
            for arm in arms:
                values |= _rounds(task, method, arm, settings, seed, first, start)
    return values


def _rounds(
    task: CurveTask,
    method: str,
    arm: CurveArm,
    settings: CurveSettings,
    seed: int,
    first: Sequence[int],
    start: Evaluated,
) -> CurveValues:
    """One arm's curve of one seed."""
    rows, trained = list(first), start
    found: CurveValues = {(method, arm.name, seed, len(rows)): start.values}
    for _ in range(settings.rounds):
        bought = acquire(
            task.pool,
            trained.model,
            {task.pool[row].key for row in rows},
            settings.per_round,
            seed,
            representation=arm.representation,
            selector=arm.selector,
            vap=VapSettings(unit=arm.unit),
        )
        rows += [row.row for row in bought.chosen]
        trained = task.train(method, rows, seed)
        found[method, arm.name, seed, len(rows)] = trained.values
    return found
