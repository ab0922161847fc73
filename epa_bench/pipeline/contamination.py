"""Whether the training data holds prompts that the suites ask, and what the sweep wants done about it."""

from collections import Counter
from collections.abc import Callable

from epa_bench.config.schema import FilesData
from epa_bench.core.errors import ConfigError, DataError, Problem, list_problems
from epa_bench.core.files import read_records
from epa_bench.core.records import Preference, Record
from epa_bench.core.store import CellSpec, Store
from epa_bench.data.contamination import Overlap, find_overlaps
from epa_bench.data.supervised import SupervisedRow
from epa_bench.pipeline.cells import SweepCells
from epa_bench.steps.supervised import ROWS
from epa_bench.suites.asked import asked_by_suites
from epa_bench.suites.definitions import LmEvalSuite, RewardBench2Suite

Compute = Callable[[CellSpec], None]
"""Makes sure that a cell without inputs is there."""


class Report(Record):
    """What `epa-bench contamination` tells."""

    policy: str
    rows: int
    """Training rows looked at, those of the supervised stage included where it has rows of its own."""

    prompts: dict[str, int]
    """Suite -> prompts compared with; `data.eval` for the suites that ask the evaluation rows."""

    not_compared: tuple[str, ...]
    """Suites with prompts of their own that are not read here."""

    overlaps: tuple[Overlap, ...]

    @property
    def overlapping(self) -> int:
        """Rows with an overlap."""
        return len({overlap.row for overlap in self.overlaps})

    def __str__(self) -> str:
        counts = Counter((overlap.suite, overlap.kind) for overlap in self.overlaps)
        listed = ", ".join(f"{suite} {kind} {number}" for (suite, kind), number in sorted(counts.items()))
        return f"{self.overlapping} of {self.rows} training rows overlap with prompts that suites ask ({listed})"


def contamination(cells: SweepCells, store: Store, compute: Compute) -> Report:
    """Reads the data and the suites' texts, as cells of the store, and compares them. Trains nothing.

    Raises ConfigError for the embedded task, whose prompts are drawn anew, and what reading data and sources raises.
    """
    data = cells.sweep.data
    if not isinstance(data, FilesData):
        raise ConfigError("the embedded task draws its own prompts; only `data.kind: files` can be contaminated")
    read, published = cells.read_files(data), cells.published
    supervised_cell = cells.supervised_file
    texts = {name: cells.texts(suite) for name, suite in published.items()}
    for cell in (read, *([] if supervised_cell is None else [supervised_cell]), *texts.values()):
        compute(cell)
    train, held_out = (read_records(store.open(read).file(f"{part}.jsonl"), Preference) for part in ("train", "eval"))
    supervised = [] if supervised_cell is None else read_records(store.open(supervised_cell).file(ROWS), SupervisedRow)
    kinds = {name: suite.kind for name, suite in published.items()}
    asked = asked_by_suites(held_out, kinds, {name: store.open(cell) for name, cell in texts.items()})
    return Report(
        policy=data.contamination.policy,
        rows=len(train) + len(supervised),
        prompts={suite: len(prompts) for suite, prompts in asked.items()},
        not_compared=tuple(
            name for name, suite in cells.suites.items() if isinstance(suite, RewardBench2Suite | LmEvalSuite)
        ),
        overlaps=(*find_overlaps(train, asked), *find_overlaps(supervised, asked)),
    )


def heed_contamination(cells: SweepCells, store: Store, compute: Compute) -> list[str]:
    """What to tell before training. Raises DataError, with the rows, where the sweep refuses them."""
    data = cells.sweep.data
    if not isinstance(data, FilesData) or data.contamination.policy == "off":
        return []
    report = contamination(cells, store, compute)
    if not report.overlaps:
        return []
    check_refused(report)
    if report.policy == "drop":
        return [f"{report}; they are left out"]
    return [f"{report}: `epa-bench contamination` lists them, data.contamination.policy: drop leaves them out"]


def check_refused(report: Report) -> None:
    """Raises DataError where the policy refuses what was found."""
    if report.policy == "refuse" and report.overlaps:
        problems = [
            Problem(overlap.row, f"{overlap.kind} overlap with a prompt of {overlap.suite}: {overlap.shared[:80]!r}")
            for overlap in report.overlaps
        ]
        raise DataError(
            list_problems(problems, "the training data")
            + "\nRemove these rows, or set data.contamination.policy: drop to leave them out and count them."
        )
