"""Label noise of the embedded task: outputs that change places."""

from collections.abc import Sequence
from random import Random

from epa_bench.core.digest import stable_seed
from epa_bench.core.records import Preference


def swap_outputs(corpus: Sequence[tuple[str, str]], share: float, seed: int) -> tuple[tuple[str, str], ...]:
    """A share of the (prompt, response) rows, drawn at random, pass their responses round a circle.

    So every response of the corpus is still there, and each drawn row has that of another one. What a higher share
    draws includes what a lower one drew.
    """
    rng = Random(stable_seed("embedded swapped outputs", seed))
    drawn = rng.sample(range(len(corpus)), len(corpus))[: round(share * len(corpus))]
    swapped = list(corpus)
    for row, other in zip(drawn, [*drawn[1:], *drawn[:1]], strict=True):
        swapped[row] = (corpus[row][0], corpus[other][1])
    return tuple(swapped)


def swap_preferences(preferences: Sequence[Preference], share: float, seed: int) -> list[Preference]:
    """In a share of the rows, drawn at random, the chosen response and the first rejected one change places."""
    rng = Random(stable_seed("embedded swapped preferences", seed))
    drawn = set(rng.sample(range(len(preferences)), len(preferences))[: round(share * len(preferences))])
    return [_swapped(preference) if i in drawn else preference for i, preference in enumerate(preferences)]


def _swapped(preference: Preference) -> Preference:
    first, *others = preference.rejected
    return preference.model_copy(update={"chosen": first, "rejected": (preference.chosen, *others)})
