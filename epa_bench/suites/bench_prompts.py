"""Prompts whose right and wrong answers a benchmark names: RewardBench's rows, RewardBench 2's, and LLMBar's files."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.core.records import Prompt, Record, prompt_digest
from epa_bench.data.sources import read_rows
from epa_bench.data.turns import MalformedRowError, parse_turns
from epa_bench.suites.labelled_pairs import read_labelled_pairs
from epa_bench.suites.reward_bench import REWARD_BENCH_ROWS, SUBSET_OF_ROLE, SUBSETS
from epa_bench.suites.reward_bench_2 import DOMAINS, TIES

_TIES_ID = re.compile(r"(ref|tied):(\d+)")


class BenchPrompt(Record):
    """A prompt with its candidate answers, the right ones first."""

    id: str
    """As the benchmark names it."""

    subset: str
    prompt: Prompt
    responses: tuple[str, ...]
    n_correct: int

    error: str | None = None
    """Why it cannot be scored; it is counted."""

    @property
    def prompt_id(self) -> str:
        """Identity of the row: a benchmark asks some prompts several times, with other answers."""
        return prompt_digest(f"{self.subset}\n{self.id}\n{self.prompt}")


def read_prompts(roles: Mapping[str, Path]) -> Iterator[BenchPrompt]:
    """Of a suite of kind `reward_bench`: RewardBench's rows, or LLMBar's files by subset. Raises DataError."""
    for role, path in roles.items():
        yield from read_reward_bench(path) if role == REWARD_BENCH_ROWS else read_llmbar(path, SUBSET_OF_ROLE[role])


def read_reward_bench(path: Path) -> list[BenchPrompt]:
    """Rows with prompt, chosen, rejected (texts), subset and id, as the hub's allenai/reward-bench has them.

    Raises DataError that lists every row that does not fit.
    """
    return _read(path, _pair)


def read_reward_bench_2(path: Path) -> list[BenchPrompt]:
    """Rows with prompt, chosen and rejected (lists of texts), subset and id, as the hub's allenai/reward-bench-2.

    The id of a Ties row is ref:N or tied:N. Raises DataError that lists every row that does not fit.
    """
    return _read(path, _best_of_n)


def read_llmbar(path: Path, subset: str) -> list[BenchPrompt]:
    """LLMBar's layout, whose rows are numbered from 1. Raises DataError."""
    return [
        BenchPrompt(
            id=str(number),
            subset=subset,
            prompt=pair.input,
            responses=(pair.output_1, pair.output_2) if pair.label == 1 else (pair.output_2, pair.output_1),
            n_correct=1,
        )
        for number, pair in enumerate(read_labelled_pairs(path), 1)
    ]


def _read(path: Path, parse: Callable[[Mapping[str, Any]], BenchPrompt]) -> list[BenchPrompt]:
    found: list[BenchPrompt] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str], str] = {}
    for where, row in read_rows(str(path)):
        try:
            prompt = parse(row)
        except MalformedRowError as error:
            problems.append(Problem(where, str(error)))
            continue
        key = (prompt.subset, prompt.id)
        if key in seen:
            problems.append(Problem(where, f"id {prompt.id} of {prompt.subset} is there twice, first at {seen[key]}"))
        seen.setdefault(key, where)
        found.append(prompt)
    if problems:
        raise DataError(list_problems(problems, str(path)))
    if not found:
        raise DataError(f"{path}: expected rows of a benchmark, got none")
    return found


def _pair(row: Mapping[str, Any]) -> BenchPrompt:
    responses = (_text(row.get("chosen"), "chosen"), _text(row.get("rejected"), "rejected"))
    return BenchPrompt(**_shared(row, SUBSETS), responses=responses, n_correct=1)


def _best_of_n(row: Mapping[str, Any]) -> BenchPrompt:
    right, wrong = (tuple(_texts(row.get(column), column)) for column in ("chosen", "rejected"))
    shared = _shared(row, DOMAINS)
    if shared["subset"] == TIES:
        ties_number(shared["id"])
    elif len(right) != 1:
        raise MalformedRowError(f"chosen: expected one right answer outside {TIES}, got {len(right)}")
    return BenchPrompt(**shared, responses=(*right, *wrong), n_correct=len(right))


def ties_number(row_id: str) -> tuple[str, int]:
    """(ref or tied, number) of a Ties row. Raises MalformedRowError."""
    match = _TIES_ID.fullmatch(row_id)
    if match is None:
        raise MalformedRowError(f"id: expected ref:N or tied:N in {TIES}, got {row_id!r}")
    return match[1], int(match[2])


def _shared(row: Mapping[str, Any], subsets: tuple[str, ...]) -> dict[str, Any]:
    subset, row_id = row.get("subset"), row.get("id")
    if subset not in subsets:
        raise MalformedRowError(f"subset: expected one of {', '.join(subsets)}, got {subset!r}")
    if not isinstance(row_id, str | int) or isinstance(row_id, bool):
        raise MalformedRowError(f"id: expected a text or a number, got {row_id!r}")
    return {"id": str(row_id), "subset": subset, "prompt": parse_turns(row.get("prompt"), "prompt")}


def _texts(value: Any, column: str) -> Iterator[str]:
    if not isinstance(value, list | tuple) or not value:
        raise MalformedRowError(f"{column}: expected a list of texts, got {value!r:.80}")
    for index, text in enumerate(value):
        yield _text(text, f"{column}[{index}]")


def _text(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise MalformedRowError(f"{column}: expected a text, got {value!r:.80}")
    return value
