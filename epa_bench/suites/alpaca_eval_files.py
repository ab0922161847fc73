"""Reading alpaca_eval's annotations and compact ones. Every damaged row is named; nothing is dropped."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.core.records import prompt_digest
from epa_bench.data.sources import read_rows
from epa_bench.suites.alpaca_eval import canonical_ids, canonical_index
from epa_bench.suites.alpaca_eval_layout import COMPACT, ModelFiles
from epa_bench.suites.annotations import Annotation, Located

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_annotations(files: ModelFiles) -> list[Located]:
    """All annotations of a model, file by file. Raises DataError that lists every damaged row of a file.

    Half a surrogate pair, which no file can hold, becomes U+FFFD; the length stays.
    """
    return [row for path in files.annotations for row in _read(path, files.model)]


def _read(path: Path, model: str) -> list[Located]:
    parse = _from_compact if path.name.endswith(COMPACT) else _from_upstream
    rows: list[Located] = []
    problems: list[Problem] = []
    for where, raw in read_rows(str(path)):
        try:
            rows.append(Located(where, Annotation.model_validate({"model": model, **parse(raw)})))
        except ValidationError as error:
            problems += [Problem(where, f"`{detail['loc'][0]}`: {detail['msg']}") for detail in error.errors()]
        except ValueError as error:
            problems.append(Problem(where, str(error)))
    if problems:
        raise DataError(list_problems(problems, str(path)))
    if not rows:
        raise DataError(f"{path}: expected annotations, found none")
    return rows


def _from_upstream(raw: Mapping[str, Any]) -> dict[str, Any]:
    instruction, output, reference = (_text(raw, name) for name in ("instruction", "output_2", "output_1"))
    prompt_id = prompt_digest(instruction)
    return {
        "prompt_id": prompt_id,
        "index": _index(raw.get("index"), canonical_index().get(prompt_id)),
        "instruction": instruction,
        "dataset": raw.get("dataset"),
        "output": output,
        "reference": reference,
        "length": len(output),
        "reference_length": len(reference),
        "identical": output == reference,
        "generator": raw.get("generator_2"),
        "reference_generator": raw.get("generator_1"),
        "annotator": raw.get("annotator"),
        "preference": _preference(raw, "preference"),
        "top_logprobs": _top_logprobs(raw.get("raw_completion")),
        "tokens": _below(raw.get("raw_completion"), "total_tokens"),
        "price": raw.get("price_per_example"),
        "seconds": raw.get("time_per_example"),
    }


def _from_compact(raw: Mapping[str, Any]) -> dict[str, Any]:
    index, top = raw.get("i"), raw.get("top")
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(canonical_ids()):
        raise ValueError(f"`i`: expected a canonical index from 0 to {len(canonical_ids()) - 1}, got {index!r}")
    return {
        "prompt_id": canonical_ids()[index],
        "index": index,
        "length": raw.get("l2"),
        "reference_length": raw.get("l1"),
        "identical": raw.get("same"),
        "preference": _preference(raw, "p"),
        "top_logprobs": None if top is None else _pairs(top, "top"),
        "tokens": raw.get("tok"),
        "price": raw.get("usd"),
        "seconds": raw.get("s"),
    }


def _text(raw: Mapping[str, Any], name: str) -> str:
    text = raw.get(name)
    if not isinstance(text, str):
        raise ValueError(f"`{name}`: expected text, got {'nothing' if name not in raw else json.dumps(text)[:40]}")
    return _whole(text)


def _whole(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def _preference(raw: Mapping[str, Any], name: str) -> float | None:
    """A draw is 1.5, in some files 0; null, in alpaca_eval's caches -1, where the judge's reply was not parsed."""
    value = raw.get(name)
    if name in raw and value in (None, -1):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not (value == 0 or 1 <= value <= 2):
        raise ValueError(f"`{name}`: expected a preference from 1 to 2, 0 for a draw, or null, got {value!r}")
    return float(value) or 1.5


def _index(given: Any, canonical: int | None) -> int | None:
    """The file's own index wins over none, and must not contradict the canonical one."""
    if given is None:
        return canonical
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise ValueError(f"`index`: expected a whole number from 0, got {given!r}")
    if canonical is not None and given != canonical:
        raise ValueError(f"`index`: {given}, but this is prompt {canonical} of AlpacaEval; was the file reordered?")
    return given


def _top_logprobs(completion: Any) -> tuple[tuple[str, float], ...] | None:
    content = _below(_below(completion, "logprobs"), "content")
    first = content[0] if isinstance(content, list) and content else None
    top = _below(first, "top_logprobs")
    if not isinstance(top, list):
        return None
    return _pairs([(_below(entry, "token"), _below(entry, "logprob")) for entry in top], "raw_completion")


def _pairs(top: Any, name: str) -> tuple[tuple[str, float], ...]:
    """(token, log-probability) pairs; ValueError for anything else."""
    match top:
        case [*pairs] if all(isinstance(p, list | tuple) and len(p) == 2 and isinstance(p[0], str) for p in pairs):
            return tuple((_whole(token), logprob) for token, logprob in pairs)
    raise ValueError(f"`{name}`: expected tokens with their log-probabilities, got {json.dumps(top)[:60]}")


def _below(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def read_output_lengths(path: Path) -> list[int]:
    """Characters of every answer of a model_outputs.json. Raises DataError that lists every damaged row."""
    lengths: list[int] = []
    problems: list[Problem] = []
    for where, raw in read_rows(str(path)):
        try:
            lengths.append(len(_text(raw, "output")))
        except ValueError as error:
            problems.append(Problem(where, str(error)))
    if problems:
        raise DataError(list_problems(problems, str(path)))
    return lengths
