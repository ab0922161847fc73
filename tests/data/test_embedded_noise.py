"""Label noise of the embedded task: as many rows as asked for, nothing lost, higher shares including lower ones."""

from collections import Counter

import pytest

from epa_bench.core.records import Preference, Response
from epa_bench.data.embedded.noise import swap_outputs, swap_preferences

CORPUS = [(f"prompt {i}", f"response {i}") for i in range(40)]
PREFERENCES = [
    Preference(
        prompt=f"prompt {i}", chosen=Response(text="a"), rejected=(Response(text="b"), Response(text="c")), source="s"
    )
    for i in range(40)
]


def changed(share: float, seed: int = 0) -> set[int]:
    return {i for i, (old, new) in enumerate(zip(CORPUS, swap_outputs(CORPUS, share, seed), strict=True)) if old != new}


@pytest.mark.parametrize(("share", "rows"), [(0.0, 0), (0.25, 10), (0.5, 20), (1.0, 40)])
def test_the_share_of_rows_gets_the_output_of_another_row(share: float, rows: int) -> None:
    swapped = swap_outputs(CORPUS, share, 0)
    assert len(changed(share)) == rows
    assert [prompt for prompt, _ in swapped] == [prompt for prompt, _ in CORPUS]
    assert Counter(response for _, response in swapped) == Counter(response for _, response in CORPUS)


def test_more_noise_is_the_same_noise_and_more() -> None:
    assert changed(0.25) < changed(0.5) < changed(1.0)
    assert changed(0.5, seed=1) != changed(0.5)


def test_the_chosen_response_changes_places_with_the_first_rejected_one() -> None:
    swapped = swap_preferences(PREFERENCES, 0.25, 0)
    texts = Counter(tuple(response.text for response in preference.responses) for preference in swapped)
    assert texts == {("a", "b", "c"): 30, ("b", "a", "c"): 10}
    assert [preference.prompt for preference in swapped] == [preference.prompt for preference in PREFERENCES]
    assert swap_preferences(PREFERENCES, 0.0, 0) == PREFERENCES
