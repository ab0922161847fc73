"""The layouts a preference row can have, parsed to one form.

| layout | columns |
|---|---|
| pair, explicit prompt | `prompt` (or `instruction`), `chosen`, `rejected` |
| pair, implicit prompt | `chosen`, `rejected`, which both begin with the prompt |
| scored responses | `prompt` (or `instruction`), `responses` (or `completions`) |

`prompt`, `chosen` and `rejected` are strings or lists of messages, as in TRL; `rejected` may be a list of either. Gold
scores of pairs come from `score_chosen` and `score_rejected`, at top level or inside `metadata`.

Scored responses are objects, or texts beside a column `scores`. UltraFeedback in full (openbmb/UltraFeedback) is of
this layout: `instruction`, and `completions` with `response`, `overall_score` (1 to 10) and `fine-grained_score` (the
mean of four ratings). As in its binarised forms, `custom_system_prompt`, which differs from completion to completion,
is no part of the prompt. prometheus-eval's files of several responses are of it too: the prompt is the `context` that
stands in every response, the score the mean of its `gold_scores`; where the contexts differ, nothing is compared.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from epa_bench.core.records import Prompt, Response
from epa_bench.data.turns import (
    DefectiveRowError,
    MalformedRowError,
    describe,
    parse_turns,
    split_explicit,
    split_implicit,
)

_PROMPT_COLUMNS = ("prompt", "instruction")
_SCORED_COLUMNS = ("responses", "completions")
_TEXT_KEYS = ("response", "text", "content", "completion")
_SCORE_KEYS = ("score", "overall_score", "fine-grained_score", "gold_scores")
"""The first that all responses of a row have: they are of different scales."""

_PROMPT_PARTS = ("system", "input")
_FOREIGN_PROMPT_COLUMNS = ("question", "query", "context", *_PROMPT_PARTS)


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """A row's content before the check for defects."""

    prompt: Prompt
    chosen: Response
    rejected: tuple[Response, ...]
    tied_best: bool = False


def parse_row(row: Mapping[str, Any]) -> ParsedRow:
    """Raises MalformedRowError, or DefectiveRowError where no prompt can be told from the answers."""
    if "chosen" in row or "rejected" in row:
        return _parse_pair(row)
    if any(column in row for column in _SCORED_COLUMNS):
        return _parse_scored(row)
    raise MalformedRowError(
        "expected the columns prompt, chosen, rejected (or prompt, responses), "
        f"got {', '.join(map(str, row)) or 'none'}; rename the columns"
    )


def _parse_pair(row: Mapping[str, Any]) -> ParsedRow:
    missing = [column for column in ("chosen", "rejected") if row.get(column) is None]
    if missing:
        raise MalformedRowError(
            f"expected the columns chosen and rejected, {' and '.join(missing)} missing; got {', '.join(map(str, row))}"
        )
    several = _several(row["rejected"])
    columns = [f"rejected[{index}]" for index in range(len(several))] if len(several) > 1 else ["rejected"]
    chosen = parse_turns(row["chosen"], "chosen")
    rejected = [parse_turns(value, column) for value, column in zip(several, columns, strict=True)]
    asked = prompt_column(row)
    if asked is None:
        _refuse_foreign_prompt(row)
        splits = split_implicit([chosen, *rejected])
    else:
        prompt = parse_turns(row[asked], asked)
        splits = [
            split_explicit(prompt, turns, column)
            for turns, column in zip([chosen, *rejected], ["chosen", *columns], strict=True)
        ]
    (shared, answer), *others = splits
    if any(other != shared for other, _ in others):
        raise DefectiveRowError(
            "prompts differ", "what stands before the answers in chosen and rejected is not the same"
        )
    golds = _rejected_golds(row, len(others))
    return ParsedRow(
        prompt=shared,
        chosen=Response(text=answer, gold=_score(_lookup(row, "score_chosen"), "score_chosen")),
        rejected=tuple(Response(text=text, gold=gold) for (_, text), gold in zip(others, golds, strict=True)),
    )


def _several(value: Any) -> list[Any]:
    """`rejected` as a list of answers: a string or a conversation is one, a list of either is several."""
    if not isinstance(value, list):
        return [value]
    if not value:
        raise MalformedRowError("expected at least one response in rejected, got an empty list")
    return [value] if isinstance(value[0], Mapping) else value


def prompt_column(row: Mapping[str, Any]) -> str | None:
    """The column that holds the prompt, if one does. Raises MalformedRowError where parts of it stand elsewhere."""
    column = next((column for column in _PROMPT_COLUMNS if row.get(column) is not None), None)
    beside = [other for other in _PROMPT_PARTS if row.get(other)]
    if column is not None and beside:
        raise MalformedRowError(
            f"expected the whole prompt in the column {column}, got {' and '.join(beside)} beside it; "
            "join them (a system prompt is the first message of a list), or remove the column"
        )
    return column


def _refuse_foreign_prompt(row: Mapping[str, Any]) -> None:
    """Without this, `question, chosen, rejected` would train on the words the two answers happen to begin with."""
    found = [column for column in _FOREIGN_PROMPT_COLUMNS if row.get(column)]
    if found:
        raise MalformedRowError(
            f"expected the prompt in the column prompt or at the beginning of chosen and rejected, got the columns "
            f"{', '.join(map(str, row))}; rename {' or '.join(found)} to prompt, or remove it"
        )


def _lookup(row: Mapping[str, Any], column: str) -> Any:
    """The column, at top level or else inside `metadata`."""
    if row.get(column) is not None:
        return row[column]
    metadata = row.get("metadata")
    return metadata.get(column) if isinstance(metadata, Mapping) else None


def _rejected_golds(row: Mapping[str, Any], count: int) -> list[float | None]:
    value = _lookup(row, "score_rejected")
    values = value if isinstance(value, list) else [value]
    if value is None:
        values = [None] * count
    if len(values) != count:
        raise MalformedRowError(f"score_rejected: expected {count} scores, one a rejected response, got {len(values)}")
    return [_score(each, "score_rejected") for each in values]


def _score(value: Any, column: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise MalformedRowError(f"{column}: expected a finite number, got {describe(value)}")
    return float(value)


def _mean_score(value: Any, column: str) -> float | None:
    """Of one rating, or of several."""
    if not isinstance(value, list):
        return _score(value, column)
    ratings = [_score(rating, column) for rating in value]
    known = [rating for rating in ratings if rating is not None]
    if not known or len(known) < len(ratings):
        raise MalformedRowError(f"{column}: expected finite numbers, got {describe(value)}")
    return fmean(known)


def _parse_scored(row: Mapping[str, Any]) -> ParsedRow:
    column = next(column for column in _SCORED_COLUMNS if column in row)
    values = row[column]
    if not isinstance(values, list):
        raise MalformedRowError(f"{column}: expected a list of responses, got {describe(values)}")
    if len(values) < 2:
        raise DefectiveRowError("too few responses", f"{column} has {len(values)} of the two or more that compare")
    prompt = _scored_prompt(row, values, column)
    responses = _scored_responses(row, values, column)
    golds = [response.gold for response in responses if response.gold is not None]
    if len(set(golds)) == 1:
        raise DefectiveRowError("equal scores", f"all {len(golds)} responses have the score {golds[0]:g}")
    # sorted() is stable: of equal scores the first stays first.
    best_first = [responses[i] for i in sorted(range(len(golds)), key=lambda i: -golds[i])]
    return ParsedRow(
        prompt=prompt,
        chosen=best_first[0],
        rejected=tuple(best_first[1:]),
        tied_best=golds.count(max(golds)) > 1,
    )


def _scored_prompt(row: Mapping[str, Any], values: list[Any], column: str) -> Prompt:
    column_of_prompt = prompt_column(row)
    if column_of_prompt is not None:
        return parse_turns(row[column_of_prompt], column_of_prompt)
    contexts = [value.get("context") if isinstance(value, Mapping) else None for value in values]
    if None in contexts:
        raise MalformedRowError(
            f"expected a column prompt or instruction beside {column}, or a context in each of its responses; "
            f"got {', '.join(map(str, row))}"
        )
    if any(context != contexts[0] for context in contexts):
        raise DefectiveRowError("prompts differ", f"the contexts in {column} are not the same")
    return parse_turns(contexts[0], f"context of {column}[0]")


def _scored_responses(row: Mapping[str, Any], values: list[Any], column: str) -> list[Response]:
    """Responses that all have a gold score: from objects with both, or from strings beside a column `scores`."""
    if any(isinstance(value, Mapping) for value in values):
        pairs = _texts_and_scores(values, column)
    else:
        scores = row.get("scores")
        if not isinstance(scores, list) or len(scores) != len(values):
            raise MalformedRowError(f"scores: expected a list of {len(values)} numbers, got {describe(scores)}")
        pairs = list(zip(values, scores, strict=True))
    responses = []
    for index, (text, value) in enumerate(pairs):
        gold = _mean_score(value, f"score of {column}[{index}]")
        if gold is None or not isinstance(text, str):
            raise MalformedRowError(f"{column}[{index}]: expected a text and a score, got {describe([text, value])}")
        responses.append(Response(text=text, gold=gold))
    return responses


def _texts_and_scores(values: list[Any], column: str) -> list[tuple[Any, Any]]:
    texts, known = [], []
    for index, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise MalformedRowError(f"{column}[{index}]: expected an object like the others, got {describe(value)}")
        text = next((value[key] for key in _TEXT_KEYS if value.get(key) is not None), None)
        keys = [key for key in _SCORE_KEYS if value.get(key) is not None]
        if text is None or not keys:
            raise MalformedRowError(
                f"{column}[{index}]: expected a text ({', '.join(_TEXT_KEYS)}) and a score ({', '.join(_SCORE_KEYS)}), "
                f"got the keys {', '.join(map(str, value))}"
            )
        texts.append(text)
        known.append(keys)
    shared = [key for key in _SCORE_KEYS if all(key in keys for keys in known)]
    if not shared:
        raise MalformedRowError(f"{column}: expected one kind of score for all responses, got {known}")
    return [(text, value[shared[0]]) for text, value in zip(texts, values, strict=True)]
