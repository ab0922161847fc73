"""Prompts with the answers of two checkpoints side by side, what judges said, and where they differ most."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epa_bench.core.digest import digest_of
from epa_bench.leaderboard.board import MetricTable
from epa_bench.leaderboard.cells import metric_name
from epa_bench.report.answer_texts import Answer, sweep_answers
from epa_bench.report.embed import plain_json
from epa_bench.report.imported_answers import imported_answers
from epa_bench.report.leading import compared
from epa_bench.report.loaded import LoadedRun
from epa_bench.report.section import NothingToShow, Section, each_run

_CHUNK_CHARACTERS = 500_000

Checkpoint = tuple[str, int]
"""Arm and seed."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the template reads."""

    groups: tuple[dict[str, Any], ...]
    """A suite of a run: what its chunks do not repeat."""

    n_examples: int


@dataclass(frozen=True, slots=True)
class _Group:
    run: LoadedRun
    table: MetricTable
    """Of the metric whose value is an answer's score."""

    checkpoints: Mapping[Checkpoint, Mapping[tuple[str, int], Answer]]
    """Of each one, the answers by prompt and item."""


def answers(runs: tuple[LoadedRun, ...]) -> Section:
    """The section."""
    found, missing = each_run(runs, lambda run: list(_groups(run)))
    groups = [group for of_run in found for group in of_run]
    examples = [_examples(group) for group in groups]
    data = Answers(tuple(map(_head, groups)), sum(map(len, examples)))
    chunks = [chunk for number, rows in enumerate(examples) for chunk in _chunks(number, rows)]
    return Section("answers", "Answers", "answers.html", data, missing, tuple(chunks))


def _groups(run: LoadedRun) -> Iterator[_Group]:
    tables = _score_tables(run)
    found: dict[str, dict[Checkpoint, list[Answer]]] = {}
    for result in run.results():
        if texts := sweep_answers(run, result):
            found.setdefault(result.suite, {})[result.arm, result.seed] = texts
    if run.listed is None:
        if run.folder is None:
            raise NothingToShow("a table alone holds no answers; name the folder of its run")
        suite = run.board.tables[0].suite
        found[suite] = {(model, 0): texts for model, texts in imported_answers(run.folder).items()}
    if not found:
        raise NothingToShow("no suite of this run asks for answers")
    for suite, checkpoints in found.items():
        by_prompt = {
            checkpoint: {(answer.prompt_id, answer.item): answer for answer in texts}
            for checkpoint, texts in checkpoints.items()
        }
        yield _Group(run, tables[suite], by_prompt)


def _score_tables(run: LoadedRun) -> dict[str, MetricTable]:
    """The metric that scores the single answers of a suite: the first of the headline, else the first."""
    tables: dict[str, MetricTable] = {}
    for table in sorted(run.board.tables, key=lambda table: not table.info.headline):
        tables.setdefault(table.suite, table)
    return tables


def _head(group: _Group) -> dict[str, Any]:
    table, info = group.table, group.table.info
    left, right = _opening(group)
    return {
        "run": group.run.name,
        "suite": table.suite,
        "metric": metric_name(table),
        "judge": table.judge,
        "scale": info.scale,
        "digits": info.digits,
        "checkpoints": list(group.checkpoints),
        "left": left,
        "right": right,
    }


def _opening(group: _Group) -> tuple[str, str]:
    """The arms that the page opens with: those of the margin that a reader looks at first."""
    arms = list(dict.fromkeys(arm for arm, _ in group.checkpoints))
    pairs = [(margin.against or "", result.arm) for result, margin in compared(group.run, group.table)]
    return next((pair for pair in pairs if set(pair) <= set(arms)), (arms[0], arms[-1]))


def _examples(group: _Group) -> list[list[Any]]:
    """[id, prompt, category, opponent's answer, an answer or null for every checkpoint of the head] a prompt.

    The opponent's answer is null, a text, or the number of a checkpoint that gave the same.
    """
    scores = _scores(group)
    prompts = dict.fromkeys(key for answers in group.checkpoints.values() for key in answers)
    return [
        _example(
            group,
            key,
            [(checkpoint, by_prompt.get(key)) for checkpoint, by_prompt in group.checkpoints.items()],
            scores,
        )
        for key in prompts
    ]


_Scores = Mapping[tuple[str, int, str, int], tuple[float | None, str | None]]
"""(arm, seed, prompt, item) -> value or error of the table's row."""


def _scores(group: _Group) -> _Scores:
    rows = group.run.rows
    assert rows is not None
    own = rows[(rows["suite"] == group.table.suite) & (rows["metric"] == group.table.metric)]
    keys = zip(own["arm"], own["seed"].tolist(), own["prompt_id"], own["item"].tolist(), strict=True)
    values = [None if value != value else value for value in own["value"].tolist()]
    errors = [error if isinstance(error, str) else None for error in own["error"].tolist()]
    return dict(zip(keys, zip(values, errors, strict=True), strict=True))


def _example(
    group: _Group, key: tuple[str, int], answered: Sequence[tuple[Checkpoint, Answer | None]], scores: _Scores
) -> list[Any]:
    first = next(answer for _, answer in answered if answer is not None)
    # Where the opponent is one of the checkpoints, its answer is there already.
    same = (
        number for number, (_, answer) in enumerate(answered) if answer is not None and answer.text == first.opponent
    )
    opponent = next(same, first.opponent)
    name = digest_of([group.run.name, group.table.suite, *key])[:12]
    packed = [None if answer is None else _packed(answer, scores.get((*of, *key))) for of, answer in answered]
    return [name, first.prompt, first.category, opponent, packed]


def _packed(answer: Answer, row: tuple[float | None, str | None] | None) -> list[Any]:
    score, failure = row or (None, None)
    calls = [[call.order, call.said, call.reasoning] for call in answer.calls]
    return [answer.text, score, answer.error or failure, answer.verdict, calls]


def _chunks(group: int, examples: Sequence[list[Any]]) -> Iterator[str]:
    """JSON texts of some examples each, of a size that a browser parses without a pause."""
    waiting: list[str] = []
    size = 0
    for text in map(plain_json, examples):
        waiting.append(text)
        size += len(text)
        if size > _CHUNK_CHARACTERS:
            yield _chunk(group, waiting)
            waiting, size = [], 0
    if waiting:
        yield _chunk(group, waiting)


def _chunk(group: int, examples: Sequence[str]) -> str:
    return f'{{"group":{group},"examples":[{",".join(examples)}]}}'
