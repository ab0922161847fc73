"""Judgments that FastChat's format holds, gathered so that each counts once: what repeats, lacks or does not belong.

FastChat averages whatever rows a file has. Here a second run under the same name, a missing row and a second judge are
refused, or resolved by a choice of the user that the result states.
"""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.core.files import read_records
from epa_bench.suites.mt_bench import QUESTIONS, TURNS, Mode, category_of, prompt_name
from epa_bench.suites.mt_bench_files import PairJudgment, SingleJudgment
from epa_bench.suites.mt_bench_verdicts import missing_ratings

_J = TypeVar("_J", SingleJudgment, PairJudgment)

Duplicates = Literal["refuse", "first", "last"]
Missing = Literal["refuse", "count"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user decided beforehand."""

    duplicates: Duplicates = "refuse"
    """Which of several judgments of the same answer counts, in the order of files and rows."""

    missing: Missing = "refuse"
    """`count`: a rating that is not there is a failed one."""

    judge: str | None = None
    """Whose judgments count, where the files hold those of several."""


@dataclass(frozen=True, slots=True)
class Gathered(Generic[_J]):
    """One judge's judgments, each answer's once, in the order of the files."""

    judgments: tuple[_J, ...]
    judge: str

    statement: str
    """What was left out, and by which choice."""


@dataclass(frozen=True, slots=True)
class _Placed(Generic[_J]):
    judgment: _J
    where: str


def mode_of(files: Sequence[Path]) -> Mode:
    """Whether files hold ratings or pairs, by their first rows. Raises DataError where they hold both."""
    found: dict[Mode, list[str]] = {}
    for path in files:
        found.setdefault("pair" if _holds_pairs(path) else "single", []).append(str(path))
    if len(found) > 1:
        raise DataError(
            f"{', '.join(found['single'])} holds ratings, {', '.join(found['pair'])} pairs; import them by two commands"
        )
    return next(iter(found), "single")


def gather_singles(files: Sequence[Path], choices: Choices) -> Gathered[SingleJudgment]:
    """Raises DataError for unreadable rows, and for what `choices` do not resolve."""
    rows, judge, statements = _of_one_judge(_read(files, SingleJudgment), "single", choices.judge)
    rows, repeated = _once(rows, _single_key, _single_name, choices.duplicates)
    missing = _missing(row.judgment for row in rows)
    if missing and choices.missing == "refuse":
        raise DataError(
            f"{list_problems(missing, 'the judgments: rows are missing')}\nScores over different questions cannot be "
            "compared. Judge the rest, or count missing ratings as failed ones with --missing count."
        )
    lacking = f"missing rows: {', '.join(map(str, missing)) or 'none'}"
    return Gathered(tuple(row.judgment for row in rows), judge, "; ".join([*statements, repeated, lacking]))


def gather_pairs(files: Sequence[Path], choices: Choices) -> Gathered[PairJudgment]:
    """As `gather_singles`, but rows that are missing are only stated: they are missing for both models alike."""
    rows, judge, statements = _of_one_judge(_read(files, PairJudgment), "pair", choices.judge)
    rows, repeated = _once(rows, _pair_key, _pair_name, choices.duplicates)
    counts = Counter(" and ".join(sorted((row.judgment.model_1, row.judgment.model_2))) for row in rows)
    whole = len(QUESTIONS) * len(TURNS)
    lacking = "rows: " + ", ".join(f"{models} {count} of {whole}" for models, count in sorted(counts.items()))
    return Gathered(tuple(row.judgment for row in rows), judge, "; ".join([*statements, repeated, lacking]))


def _holds_pairs(path: Path) -> bool:
    """What cannot be read here is read, and refused by row, as ratings."""
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline())
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and "model_1" in first


def _read(files: Sequence[Path], kind: type[_J]) -> list[_Placed[_J]]:
    rows = []
    for path in files:
        found = read_records(path, kind)
        if not found:
            raise DataError(f"{path}: expected judgments, got an empty file")
        rows += [_Placed(judgment, f"{path}, row {number}") for number, judgment in enumerate(found, start=1)]
    return rows


def _of_one_judge(rows: list[_Placed[_J]], mode: Mode, chosen: str | None) -> tuple[list[_Placed[_J]], str, list[str]]:
    """The rows of the judge that was chosen, or of the only one; its name; what was left out."""
    counts = Counter(row.judgment.judge[0] for row in rows)
    listed = ", ".join(f"{name} ({count} rows)" for name, count in sorted(counts.items()))
    if chosen is None and len(counts) > 1:
        raise DataError(f"the files mix judges: {listed}. Scores of different judges differ; choose one with --judge")
    judge = chosen if chosen is not None else next(iter(counts))
    if judge not in counts:
        raise DataError(f"no judgment of {judge} in the files; there are {listed}")
    own = [row for row in rows if row.judgment.judge[0] == judge]
    problems = [
        Problem(row.where, f"judged with the prompt {row.judgment.judge[1]}, expected {expected}")
        for row in own
        if row.judgment.judge[1] != (expected := _expected_prompt(mode, row.judgment))
    ]
    if problems:
        raise DataError(list_problems(problems, "the judgments: other judge prompts than MT-Bench's"))
    left_out = len(rows) - len(own)
    return own, judge, [f"judge: {judge} chosen ({left_out} rows of others left out)"] if left_out else []


def _expected_prompt(mode: Mode, judgment: SingleJudgment | PairJudgment) -> str:
    return prompt_name(mode, category_of(judgment.question_id), judgment.turn)


def _once(
    rows: list[_Placed[_J]], key: Callable[[_J], Hashable], name: Callable[[_J], str], choice: Duplicates
) -> tuple[list[_Placed[_J]], str]:
    """Rows with different keys, and a statement of what repeated."""
    kept: dict[Hashable, _Placed[_J]] = {}
    problems = []
    for row in rows:
        earlier = kept.setdefault(key(row.judgment), row)
        if earlier is row:
            continue
        problems.append(Problem(row.where, f"{name(row.judgment)} is there already: {earlier.where}"))
        if choice == "last":
            kept[key(row.judgment)] = row
    if problems and choice == "refuse":
        raise DataError(
            f"{list_problems(problems, 'the judgments: rows repeat others')}\nAn average would mix two runs. Say which "
            "counts with --duplicates first or --duplicates last; the result will state it."
        )
    return list(kept.values()), f"duplicates: {f'{choice} counts, {len(problems)} dropped' if problems else 'none'}"


def _single_key(judgment: SingleJudgment) -> Hashable:
    return judgment.model, judgment.question_id, judgment.turn


def _single_name(judgment: SingleJudgment) -> str:
    return f"{judgment.model}, question {judgment.question_id}, turn {judgment.turn}"


def _pair_key(judgment: PairJudgment) -> Hashable:
    """Which model is called the first does not matter: both games are there either way."""
    return frozenset((judgment.model_1, judgment.model_2)), judgment.question_id, judgment.turn


def _pair_name(judgment: PairJudgment) -> str:
    return f"{judgment.model_1} against {judgment.model_2}, question {judgment.question_id}, turn {judgment.turn}"


def _missing(judgments: Iterable[SingleJudgment]) -> list[Problem]:
    """One a model that lacks some."""
    by_model: dict[str, list[SingleJudgment]] = {}
    for judgment in judgments:
        by_model.setdefault(judgment.model, []).append(judgment)
    problems = []
    for model, own in by_model.items():
        lacking = missing_ratings(own)
        if lacking:
            first = f"question {lacking[0].prompt_id} turn {lacking[0].item}"
            problems.append(Problem(model, f"{len(lacking)} of {len(lacking) + len(own)}, the first {first}"))
    return problems
