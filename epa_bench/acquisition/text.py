"""A text classifier as acquisition asks it.

Shape suffixes: N rows, C classes, D hidden size.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from epa_bench.acquisition.model import Array, VapSettings
from epa_bench.acquisition.representations import badge_vectors
from epa_bench.acquisition.vap import perturbations
from epa_bench.core.digest import stable_seed
from epa_bench.data.pool import TextRow
from epa_bench.models.states import kept, layer_module, shifted, start_direction


@dataclass(frozen=True, slots=True)
class TextClassifier:
    """A sequence classifier in evaluation mode with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    max_length: int
    """Tokens; what is longer is cut on the right."""

    batch_size: int = 256

    def probabilities(self, rows: list[TextRow]) -> Array:
        return self._outputs(rows)[0]

    def features(self, rows: list[TextRow]) -> Array:
        """[N, D], the input of the last linear layer."""
        return self._outputs(rows)[1]

    def gradients(self, rows: list[TextRow]) -> Array:
        return badge_vectors(*self._outputs(rows))

    def perturbations(self, rows: list[TextRow], settings: VapSettings, seed: int) -> Array:
        module = layer_module(self.model, settings.layer)

        with torch.no_grad(), kept(module) as states:
            self.model(**next(self._batches(rows[:1]))[1])
        start_D = start_direction(states[0].shape[-1], stable_seed("start", seed), states[0].device)

        def of_batch(batch: BatchEncoding) -> tuple[Tensor]:
            def logits_of(shift_ND: Tensor) -> Tensor:
                with shifted(module, shift_ND):
                    logits: Tensor = self.model(**batch).logits
                return logits

            return (perturbations(logits_of, start_D.expand(len(batch["input_ids"]), -1), settings),)

        return self._by_row(rows, of_batch)[0]

    @torch.no_grad()
    def _outputs(self, rows: list[TextRow]) -> tuple[Array, Array]:
        """(probabilities [N, C], inputs of the last linear layer [N, D])."""
        module = layer_module(self.model, "head")

        def of_batch(batch: BatchEncoding) -> tuple[Tensor, Tensor]:
            with kept(module) as states:
                logits_NC = self.model(**batch).logits
            return torch.softmax(logits_NC.float(), dim=-1), states[0]

        probabilities, inputs = self._by_row(rows, of_batch)
        return probabilities, inputs

    def _by_row(self, rows: list[TextRow], of_batch: Callable[[BatchEncoding], tuple[Tensor, ...]]) -> list[Array]:
        """Results of batches of texts of like length, in the order of the rows."""
        parts: list[tuple[Array, ...]] = []
        order: list[int] = []
        for indices, batch in self._batches(rows):
            parts.append(tuple(part.detach().float().cpu().numpy() for part in of_batch(batch)))
            order += indices
        back = np.argsort(order)
        return [np.concatenate(column)[back] for column in zip(*parts, strict=True)]

    def _batches(self, rows: Sequence[TextRow]) -> Iterator[tuple[list[int], BatchEncoding]]:
        order = sorted(range(len(rows)), key=lambda index: len(rows[index].text))
        for start in range(0, len(rows), self.batch_size):
            indices = order[start : start + self.batch_size]
            batch = self.tokenizer(
                [rows[index].text for index in indices],
                padding=True,
                truncation=True,
                max_length=self.max_length,
                return_tensors="pt",
            )
            yield indices, batch.to(self.model.device)
