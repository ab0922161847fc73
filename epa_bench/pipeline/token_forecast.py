"""Tokens that owed trainings and answers will take: upper bounds, known as far as the rows are counted.

Rows are counted from the cells that hold them where those are in the store, else from what the settings make certain;
the rows of a file that was not read yet are not known.
"""

import math
from collections.abc import Collection, Iterator

from epa_bench.config.schema import EmbeddedData
from epa_bench.config.supervised import CheckpointSft, Sft
from epa_bench.core.records import Record
from epa_bench.core.store import CellSpec
from epa_bench.pipeline.run import Run
from epa_bench.pipeline.training_cells import Checkpoint
from epa_bench.steps.supervised import ROWS
from epa_bench.suites.definitions import AlpacaEvalSuite, AnsweredSuite, KlSuite, MtBenchSuite


class OwedTokens(Record):
    """Of the owed cells of one part."""

    part: str
    """`training`, `supervised` for the stage that makes the reference, or a suite whose prompts are answered."""

    cells: int

    sequences: int | None
    """At most; None where the rows are not known yet."""

    tokens: int | None
    """At most: sequences of `data.max_length` tokens are trained on, answers of `max_new_tokens` are drawn."""


def owed_tokens(run: Run, owed: Collection[str]) -> Iterator[OwedTokens]:
    """One row a part that owes anything; `owed`: digests. Answers that suites share are the first one's."""
    cells = run.cells
    trained = [c for c in cells.checkpoints if c.cell is not None and c.cell.digest in owed]
    if trained:
        yield _row("training", [_training_sequences(run, c) for c in trained], run.sweep.data.max_length)
    sft, made = run.sweep.reference.sft, cells.reference
    if sft is not None and made is not None and made.digest in owed:
        yield _row("supervised", [_supervised_sequences(run, sft, made)], run.sweep.data.max_length)
    counted: set[str] = set()
    for name, suite in cells.suites.items():
        if isinstance(suite, AnsweredSuite | KlSuite):
            asked = cells.evaluated(suite) if isinstance(suite, KlSuite) else cells.checkpoints
            answers = {cells.responses(checkpoint, suite).digest for checkpoint in asked}
            answers = answers.intersection(owed) - counted
            counted |= answers
            if answers:
                yield _row(name, [_prompts(run, suite)] * len(answers), _length(suite))


def _row(part: str, sequences: list[int | None], length: int) -> OwedTokens:
    known = [count for count in sequences if count is not None]
    total = sum(known) if len(known) == len(sequences) else None
    tokens = None if total is None else total * length
    return OwedTokens(part=part, cells=len(sequences), sequences=total, tokens=tokens)


def _length(suite: AnsweredSuite | KlSuite) -> int:
    return suite.max_new_tokens if isinstance(suite, MtBenchSuite) else suite.decoding.max_new_tokens


def _training_sequences(run: Run, checkpoint: Checkpoint) -> int | None:
    """Candidates of all groups, those included that will be masked."""
    arm, sweep = checkpoint.arm, run.sweep
    assert arm is not None
    candidates = 1 + arm.strong + arm.weak
    plan = run.cells.plan(arm, checkpoint.seed)
    if run.store.has(plan):
        return _lines(run, plan, "plan.jsonl") * candidates
    rows = sweep.data.train_prompts if isinstance(sweep.data, EmbeddedData) else sweep.data.train_limit
    return None if rows is None else rows * sweep.training.num_train_epochs * candidates


def _supervised_sequences(run: Run, sft: Sft | CheckpointSft, made: CellSpec) -> int | None:
    """Rows of all epochs that a filter keeps, those included that will turn out too long."""
    files = {"supervised": ROWS, "preferences": "train.jsonl"}
    held = next(((made.inputs[name], file) for name, file in files.items() if name in made.inputs), None)
    data = run.sweep.data
    if held is not None and run.store.has(held[0]):
        rows: int | None = _lines(run, *held)
    elif sft.data is not None:
        rows = sft.data.limit
    else:
        rows = data.sft_prompts if isinstance(data, EmbeddedData) else data.train_limit
    return None if rows is None else math.ceil(sft.keep * rows) * sft.num_train_epochs


def _prompts(run: Run, suite: AnsweredSuite | KlSuite) -> int | None:
    """Answers of a checkpoint: prompts, or turns."""
    data = run.sweep.data
    turns, limit = (2, suite.limit) if isinstance(suite, MtBenchSuite) else (1, suite.limit)
    published = isinstance(suite, AlpacaEvalSuite | MtBenchSuite)
    held = run.cells.texts(suite) if isinstance(suite, AlpacaEvalSuite | MtBenchSuite) else run.cells.preferences
    if run.store.has(held):
        file = "questions" if isinstance(suite, MtBenchSuite) else "prompts.jsonl"
        found = _lines(run, held, file)
        return turns * min(found, limit or found)
    known = None if published else data.eval_prompts if isinstance(data, EmbeddedData) else data.eval_limit
    bounds = [bound for bound in (known, limit) if bound is not None]
    return turns * min(bounds) if bounds else None


def _lines(run: Run, cell: CellSpec, file: str) -> int:
    return len(run.store.open(cell).file(file).read_bytes().splitlines())
