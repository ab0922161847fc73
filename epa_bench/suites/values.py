"""What every kind of suite computes: one value, or one reason for its absence, a prompt and metric."""

from typing import Self

from pydantic import model_validator

from epa_bench.core.records import Finite, Record


class Value(Record):
    """A ScoreRow that does not know yet whose checkpoint it belongs to."""

    metric: str
    prompt_id: str
    item: int = 0
    """Distinguishes several items that share a prompt."""

    value: Finite | None = None
    error: str | None = None

    @model_validator(mode="after")
    def _value_or_error(self) -> Self:
        if (self.value is None) == (self.error is None):
            raise ValueError("a row has either a value or an error")
        return self
