"""The probe set: which (prompt, response) pairs one score pass covers, for every probe of a checkpoint."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import SuiteError
from epa_bench.core.records import Finite, Preference, Prompt, Record


class ProbeItem(Record):
    """One response under one prompt."""

    prompt: Prompt
    prompt_id: str

    row: int
    """Index of the evaluation preference whose prompt it is."""

    own: int | None = None
    """Index into that preference's responses (0 is the chosen one); None for a response of another prompt."""

    text: str
    gold: Finite | None = None


class ScoredItem(Record):
    """A probe item with its implicit reward."""

    item: ProbeItem

    reward: Finite
    """s = beta * (log pi - log pi_ref), nats."""


def build_probes(
    preferences: Sequence[Preference], *, mismatched: int, gold: Callable[[Prompt, str], float] | None, seed: int = 0
) -> Iterator[ProbeItem]:
    """Every prompt's own responses, then `mismatched` responses drawn from as many other prompts.

    A foreign response that reads like one of the prompt's own is not drawn. Raises SuiteError where there are too few
    other prompts, or mismatched responses are asked for without a gold reward to compare them with.
    """
    if mismatched and gold is None:
        raise SuiteError(
            "mismatched responses need a gold reward defined for any text, which only the embedded task has; "
            "leave the linearity suite out of a sweep over files"
        )
    for row, preference in enumerate(preferences):
        for own, response in enumerate(preference.responses):
            yield _item(preference, row, own, response.text, response.gold)
        for text in _foreign(preferences, row, mismatched, seed):
            assert gold is not None
            yield _item(preference, row, None, text, gold(preference.prompt, text))


def _item(preference: Preference, row: int, own: int | None, text: str, gold: float | None) -> ProbeItem:
    return ProbeItem(prompt=preference.prompt, prompt_id=preference.prompt_id, row=row, own=own, text=text, gold=gold)


def _foreign(preferences: Sequence[Preference], row: int, count: int, seed: int) -> list[str]:
    if count == 0:
        return []
    prompt_id = preferences[row].prompt_id
    seen = {prompt_id}
    taken = {response.text for response in preferences[row].responses}
    rng = np.random.Generator(np.random.PCG64(stable_seed("mismatched", seed, prompt_id)))
    drawn: list[str] = []
    for other in rng.permutation(len(preferences)):
        if preferences[other].prompt_id in seen:
            continue
        responses = preferences[other].responses
        text = responses[int(rng.integers(len(responses)))].text
        if text not in taken:
            drawn.append(text)
            taken.add(text)
            seen.add(preferences[other].prompt_id)
        if len(drawn) == count:
            return drawn
    raise SuiteError(f"{count} mismatched responses asked for, the evaluation data has only {len(drawn)} to draw from")
