"""From the plan's comparison groups to tensors.

Shapes: G groups, K candidates (1 + strong + weak), N sequences (every candidate that counts).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset

from epa_bench.config.schema import WeakPrompt
from epa_bench.core.errors import PlanError, Problem, StoreError, list_problems
from epa_bench.core.records import Candidate, Group, Preference, ReferenceScore
from epa_bench.data.chat import EncodedResponse
from epa_bench.models.packing import pack_sequences
from epa_bench.models.scoring import sequence_key

Encode = Callable[[int, int, int], EncodedResponse]
"""(prompt's row, response's row, response) -> token ids, the response under the prompt of the first row."""


def encoder_of(preferences: Sequence[Preference], encode: Callable[..., EncodedResponse]) -> Encode:
    """Encodes candidates of the plan, each pair once."""
    cache: dict[tuple[int, int, int], EncodedResponse] = {}

    def encode_candidate(prompt_row: int, row: int, response: int) -> EncodedResponse:
        key = (prompt_row, row, response)
        if key not in cache:
            cache[key] = encode(preferences[prompt_row].prompt, preferences[row].responses[response].text)
        return cache[key]

    return encode_candidate


def check_gold(loss: str, groups: Sequence[Group], preferences: Sequence[Preference]) -> None:
    """Raises PlanError that lists the rows whose planned responses lack a gold score `loss` cannot do without."""
    missing = {
        (preferences[c.example].source, c.response): None
        for group in groups
        for c in group.candidates
        if c.masked is None and preferences[c.example].responses[c.response].gold is None
    }
    problems = [Problem(source, f"response {response + 1} has no gold score") for source, response in missing]
    if problems:
        raise PlanError(
            list_problems(problems, f"the training data for the {loss} loss")
            + "\nGive data with a score for every response, or choose a loss that does without."
        )


@dataclass(frozen=True, slots=True)
class EncodedCandidate:
    """A candidate that counts."""

    sequence: EncodedResponse

    example: int
    """Row of the preferences that the response comes from."""

    ref_logp: float
    strong: bool
    gold: float | None


class GroupDataset(Dataset[list[EncodedCandidate]]):
    """The plan as a data set: item i is group i, the positive first, masked candidates left out.

    With `weak_prompt="own"` a weak negative stands under the prompt of its own row instead of the group's.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        preferences: Sequence[Preference],
        encode: Encode,
        reference: Mapping[str, ReferenceScore],
        weak_prompt: WeakPrompt = "this",
    ) -> None:
        self._groups = groups
        self._preferences = preferences
        self._encode = encode
        self._reference = reference
        self._weak_prompt = weak_prompt
        self._tokens: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: int) -> list[EncodedCandidate]:
        return self._encoded(index)

    def _encoded(self, index: int) -> list[EncodedCandidate]:
        group = self._groups[index]
        candidates = [self._candidate(group.example, c) for c in group.candidates if c.masked is None]
        sequences = [candidate.sequence for candidate in candidates]
        self._tokens[index] = sum(len(each.prompt_ids) + len(each.response_ids) for each in sequences)
        return candidates

    def _candidate(self, prompt_row: int, candidate: Candidate) -> EncodedCandidate:
        # The positive and the strong negatives are of the group's row.
        row = candidate.example if self._weak_prompt == "own" else prompt_row
        sequence = self._encode(row, candidate.example, candidate.response)
        gold = self._preferences[candidate.example].responses[candidate.response].gold
        score = self._reference.get(sequence_key(sequence))
        if score is None:
            raise StoreError(
                "a reference log-prob is missing; delete the store's cells/reference_scores and cells/train and run "
                "again"
            )
        return EncodedCandidate(sequence, candidate.example, score.logp, candidate.role == "strong", gold)

    def sequences(self) -> Iterator[list[EncodedResponse]]:
        """Those of each group, group after group."""
        for index in range(len(self)):
            yield [candidate.sequence for candidate in self._encoded(index)]

    def tokens_of_steps(self) -> Counter[int]:
        """Optimizer step, from 0 -> tokens of its sequences, a prompt counted with each of its responses."""
        tokens: Counter[int] = Counter()
        for index, group in enumerate(self._groups):
            # Mostly known: where the memory of a training is estimated, every group is encoded.
            if index not in self._tokens:
                self._encoded(index)
            tokens[group.step] += self._tokens[index]
        return tokens

    def source(self, example: int) -> str:
        """Where a row of the preferences stands in the user's data."""
        return self._preferences[example].source


class GroupCollator:
    """Collates groups to the tensors `PreferenceTrainer.compute_loss` takes, always `candidates` wide."""

    def __init__(self, candidates: int) -> None:
        self._candidates = candidates

    def __call__(self, groups: Sequence[Sequence[EncodedCandidate]]) -> dict[str, Any]:
        flat = [candidate for group in groups for candidate in group]
        shape = (len(groups), self._candidates)
        row_GK = torch.zeros(shape, dtype=torch.long)
        example_GK = torch.full(shape, -1)
        mask_GK = torch.zeros(shape, dtype=torch.bool)
        strong_GK = torch.zeros(shape, dtype=torch.bool)
        ref_logps_GK = torch.zeros(shape)
        gold_GK = torch.full(shape, torch.nan)
        row = 0
        for g, group in enumerate(groups):
            for k, candidate in enumerate(group):
                row_GK[g, k] = row
                example_GK[g, k] = candidate.example
                mask_GK[g, k] = True
                strong_GK[g, k] = candidate.strong
                ref_logps_GK[g, k] = candidate.ref_logp
                if candidate.gold is not None:
                    gold_GK[g, k] = candidate.gold
                row += 1
        return {
            "sequences": pack_sequences([candidate.sequence for candidate in flat]),
            "row_GK": row_GK,
            "example_GK": example_GK,
            "mask_GK": mask_GK,
            "strong_GK": strong_GK,
            "ref_logps_GK": ref_logps_GK,
            "gold_GK": gold_GK,
        }
