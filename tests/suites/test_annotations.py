"""What a set of annotations must hold: one row a prompt, one judge, one reference."""

import math

import pytest

from epa_bench.core.errors import DataError
from epa_bench.judges.pairwise import seeded_swap
from epa_bench.suites.annotations import (
    check_one_judge,
    check_one_reference,
    derived_again,
    of_judge,
    without_duplicates,
)
from tests.suites.annotated import annotation, located


def test_values_of_a_row() -> None:
    values = {value.metric: value.value for value in annotation("p", preference=1.75).values()}
    assert values == {"win_rate": 0.75, "discrete_win_rate": 1, "length": 9}
    assert [value.value for value in annotation("p", preference=1.5).values()] == [0.5, 0.5, 9]
    unparsed = list(annotation("p", preference=None).values())
    assert [value.error is None for value in unparsed] == [False, False, True]


def test_duplicates_are_refused_or_resolved_by_the_choice() -> None:
    rows = located(annotation("a"), annotation("b"), annotation("a", preference=1.9))
    with pytest.raises(DataError) as caught:
        without_duplicates(rows, "refuse")
    assert "f.json, row 3: the same prompt as f.json, row 1" in str(caught.value)
    assert "--duplicates first or --duplicates last" in str(caught.value)
    assert without_duplicates(rows, "first") == rows[:2]
    assert without_duplicates(rows, "last") == [rows[2], rows[1]]
    assert without_duplicates(rows[:2], "refuse") == rows[:2]


def test_mixed_judges_are_refused_or_one_is_chosen() -> None:
    rows = located(annotation("a"), annotation("b", annotator="other"), annotation("c", annotator=None))
    with pytest.raises(DataError) as caught:
        check_one_judge(rows)
    message = str(caught.value)
    assert "annotations of 3 judges: not named in the file (1 rows), other (1 rows), weighted" in message
    assert "--judge NAME" in message
    check_one_judge(rows[:1])
    # Rows without a name are taken to be the chosen judge's.
    assert of_judge(rows, "other") == rows[1:]
    with pytest.raises(DataError, match=r"mine: no annotation of the judge third; there are: weighted\w+ \(1 rows\)"):
        of_judge(rows[:1], "third")


def test_another_reference_is_refused() -> None:
    same = annotation("a", model="other", reference=None)
    check_one_reference(located(annotation("a"), same, annotation("b", reference="x", reference_length=1)))
    for changes in ({"reference": "another one."}, {"reference": None, "reference_length": 12}):
        with pytest.raises(DataError, match=r"row 2: another reference answer than f\.json, row 1"):
            check_one_reference(located(annotation("a"), annotation("a", **changes)))


def test_preferences_derived_from_stored_log_probs() -> None:
    """P(m) = .2 and P(M) = .6 give 2 - .25 = 1.75 as shown, and 1.25 where the order was swapped."""
    top = (("M", math.log(0.6)), ("m", math.log(0.2)), ("The", math.log(0.1)))
    straight = next(f"p{n}" for n in range(99) if not seeded_swap(f"p{n}"))
    swapped = next(f"p{n}" for n in range(99) if seeded_swap(f"p{n}"))
    assert derived_again(annotation(straight, preference=1.75, top_logprobs=top)) is True
    assert derived_again(annotation(swapped, preference=1.25, top_logprobs=top)) is True
    assert derived_again(annotation(swapped, preference=1.75, top_logprobs=top)) is False
    assert derived_again(annotation(straight, preference=1.75, top_logprobs=(("The", -0.1),))) is False
    for missing in ({"top_logprobs": None}, {"preference": None}, {"instruction": None}):
        assert derived_again(annotation(straight, **{"top_logprobs": top, **missing})) is None
