"""Answers and verdicts of imported annotations, which carry their texts themselves."""

from collections import defaultdict
from pathlib import Path

from epa_bench.core.files import read_records
from epa_bench.pipeline.import_alpaca_eval import ANNOTATIONS_FILE
from epa_bench.report.answer_texts import Answer, Call, preference_word
from epa_bench.report.section import NothingToShow
from epa_bench.suites.annotations import Annotation


def imported_answers(folder: Path) -> dict[str, list[Answer]]:
    """Model -> its answers. Raises NothingToShow where the imported files hold no texts, DataError for damaged rows."""
    path = folder / ANNOTATIONS_FILE
    if not path.is_file():
        raise NothingToShow("its folder lists no cells, and holds no imported annotations with their texts")
    models: dict[str, list[Answer]] = defaultdict(list)
    for row in read_records(path, Annotation):
        if row.instruction is not None and row.output is not None:
            models[row.model].append(_answer(row, row.instruction, row.output))
    if not models:
        raise NothingToShow("the imported files hold lengths and verdicts alone, no texts")
    return dict(models)


def _answer(row: Annotation, instruction: str, output: str) -> Answer:
    error = "the judge's reply was not parsed" if row.preference is None else None
    said = error or f"prefers it with probability {(row.preference or 0) - 1:.3f}"
    calls = () if row.identical else (Call(f"judged by {row.annotator or 'a judge without a name'}", said, ""),)
    word = preference_word(row.preference)
    return Answer(row.prompt_id, 0, instruction, row.dataset or "", output, error, word, calls, row.reference)
