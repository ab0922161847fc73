"""Pairs of answers that people compared, in LLMBar's layout (princeton-nlp/LLMBar): a JSON list of objects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.core.records import Record


class LabelledPair(Record):
    """Two answers to an instruction, and which one people prefer."""

    input: str
    output_1: str
    output_2: str
    label: Literal[1, 2]

    @property
    def longer(self) -> Literal[1, 2] | None:
        """The longer answer in characters; None for equal lengths."""
        first, second = len(self.output_1), len(self.output_2)
        return None if first == second else 1 if first > second else 2


_ADAPTER: TypeAdapter[list[LabelledPair]] = TypeAdapter(list[LabelledPair])


def read_labelled_pairs(path: Path) -> list[LabelledPair]:
    """Raises DataError that names the file and every row that does not fit, or that it holds none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    try:
        pairs = _ADAPTER.validate_json(content)
    except ValidationError as error:
        problems = [_problem(path, detail["loc"], detail["msg"]) for detail in error.errors()]
        raise DataError(list_problems(problems, f"{path}, expected a JSON list of labelled pairs")) from None
    if not pairs:
        raise DataError(f"{path}: expected labelled pairs, got an empty list")
    return pairs


def length_baseline(pairs: Sequence[LabelledPair]) -> float:
    """Share of the pairs whose longer answer people prefer: what a judge of length alone would agree. Equal lengths
    are wrong."""
    return sum(pair.longer == pair.label for pair in pairs) / len(pairs)


def _problem(path: Path, location: tuple[int | str, ...], message: str) -> Problem:
    if not location:
        return Problem(str(path), message)
    row, *place = location
    key = ".".join(str(part) for part in place)
    return Problem(f"{path}, row {int(row) + 1}", f"{key + ': ' if key else ''}{message}")
