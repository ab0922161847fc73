"""Rows of a user's file that cannot be used, gathered while it is read: refused together, or dropped and counted."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.data.turns import DefectiveRowError, MalformedRowError


class FaultyRows:
    """Malformed rows are always problems; those that teach nothing are too, or are dropped, by `invalid_rows`."""

    def __init__(self, invalid_rows: Literal["error", "drop"]) -> None:
        self._drops = invalid_rows == "drop"
        self._problems: list[Problem] = []
        self._defects = 0
        self.dropped: Counter[str] = Counter()
        """Reason -> rows."""

    @contextmanager
    def reading(self, where: str) -> Iterator[None]:
        """Takes note of what is raised of the row at `where`, and goes on after it."""
        try:
            yield
        except MalformedRowError as error:
            self._problems.append(Problem(where, str(error)))
        except DefectiveRowError as defect:
            if self._drops:
                self.dropped[defect.reason] += 1
            else:
                self._defects += 1
                self._problems.append(Problem(where, str(defect)))

    def check(self, what: str, key: str) -> None:
        """Raises one DataError that lists all problems. `key`: the setting that drops rows that teach nothing."""
        if self._problems:
            advice = f"\n`{key}: drop` drops and counts {self._defects} of them." if self._defects else ""
            raise DataError(list_problems(self._problems, what) + advice)
