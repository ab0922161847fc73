"""Preference rows of every accepted layout (see `layouts.py`) as one record; what teaches nothing is counted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from epa_bench.core.records import Preference
from epa_bench.data.faulty_rows import FaultyRows
from epa_bench.data.layouts import ParsedRow, parse_row
from epa_bench.data.turns import DefectiveRowError, check_prompt


@dataclass(frozen=True, slots=True)
class PreferenceFile:
    """What was read, and everything that was not."""

    preferences: tuple[Preference, ...]

    dropped: Mapping[str, int]
    """Reason -> rows dropped. Empty unless `invalid_rows="drop"`."""

    dropped_responses: Mapping[str, int]
    """Reason -> single rejected responses dropped from rows that were kept because others remained."""

    tied_best: int
    """Rows of scored responses whose best score occurs more than once; the first of them is the chosen one."""


def read_preferences(
    rows: Iterable[tuple[str, Mapping[str, Any]]], *, invalid_rows: Literal["error", "drop"]
) -> PreferenceFile:
    """Reads (where, row) pairs. Raises one DataError that lists all problems.

    Malformed rows (a missing column, a wrong type) are always errors. Rows that teach nothing (`empty prompt`,
    `empty response`, `too few responses`, `identical responses`, `equal scores`, `prompts differ`) are errors too, or
    with `invalid_rows="drop"` dropped and counted; of several rejected responses only the bad ones go.
    """
    preferences: list[Preference] = []
    faulty = FaultyRows(invalid_rows)
    dropped_responses: Counter[str] = Counter()
    tied_best = 0
    for where, row in rows:
        with faulty.reading(where):
            found = parse_row(row)
            bad = _check(found)
            if bad and (invalid_rows == "error" or len(bad) == len(found.rejected)):
                raise next(iter(bad.values()))
            dropped_responses.update(defect.reason for defect in bad.values())
            tied_best += found.tied_best
            rejected = tuple(response for index, response in enumerate(found.rejected) if index not in bad)
            preferences.append(Preference(prompt=found.prompt, chosen=found.chosen, rejected=rejected, source=where))
    faulty.check("the preference data", "data.invalid_rows")
    return PreferenceFile(tuple(preferences), dict(faulty.dropped), dict(dropped_responses), tied_best)


def _check(found: ParsedRow) -> dict[int, DefectiveRowError]:
    """Defects of single rejected responses by index; raises a defect of the whole row."""
    check_prompt(found.prompt)
    if not found.chosen.text.strip():
        raise DefectiveRowError("empty response", "the chosen response has no text")
    bad = {}
    for index, response in enumerate(found.rejected):
        if not response.text.strip():
            bad[index] = DefectiveRowError("empty response", f"rejected response {index + 1} has no text")
        elif response.text == found.chosen.text:
            bad[index] = DefectiveRowError(
                "identical responses", f"rejected response {index + 1} equals the chosen one"
            )
    return bad
