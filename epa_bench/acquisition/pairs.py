"""A policy over pairs of responses as acquisition asks it: two classes, `A is better` and `B is better`.

The logits are (m, 0) with m = s_A - s_B the margin of implicit rewards s = beta (log pi - log pi_ref), so that
P(A is better) = sigmoid(m), which is the model that DPO fits.

Shape suffixes: N pairs, D hidden size; A and B of a pair stand next to each other among 2N sequences.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from epa_bench.acquisition.model import Array, VapSettings
from epa_bench.acquisition.vap import margin_perturbations
from epa_bench.core.digest import stable_seed
from epa_bench.core.records import Prompt
from epa_bench.data.chat import EncodedResponse
from epa_bench.data.pool import PairRow
from epa_bench.models.hidden_sums import hidden_sums
from epa_bench.models.packing import PackedSequences, pack_sequences
from epa_bench.models.scoring import score_sequences, sequence_key
from epa_bench.models.self_check import PLAIN
from epa_bench.models.states import kept, layer_module, shifted, start_direction


@dataclass(frozen=True, slots=True)
class PairPolicy:
    """A policy and the reference that it was trained from, in evaluation mode."""

    policy: PreTrainedModel
    reference: PreTrainedModel
    encode: Callable[[Prompt, str], EncodedResponse]
    """(prompt, response) -> token ids; asked several times for each, so better with a memory."""

    beta: float

    batch_tokens: int = 4096
    """Of a forward; a longer pair is a batch of its own."""

    def probabilities(self, rows: list[PairRow]) -> Array:
        p_N = torch.sigmoid(self._margins(rows).double()).numpy()
        return np.stack([p_N, 1 - p_N], axis=1).astype(np.float32)

    def features(self, rows: list[PairRow]) -> Array:
        """[N, D], the last hidden state averaged over the tokens of either response, and over both."""
        return np.asarray(self._means(rows).mean(axis=1), dtype=np.float32)

    def gradients(self, rows: list[PairRow]) -> Array:
        """[N, D]: (p - 1[p > 1/2]) times the difference of the responses' mean hidden states.

        BADGE's gradient as if the margin were linear in that difference: a language model's own last layer has a
        gradient of vocabulary x D. Which response is called A does not matter.
        """
        means_N2D = self._means(rows)
        p_N = self.probabilities(rows)[:, :1]
        return np.asarray((p_N - (p_N >= 0.5)) * (means_N2D[:, 0] - means_N2D[:, 1]), dtype=np.float32)

    def perturbations(self, rows: list[PairRow], settings: VapSettings, seed: int) -> Array:
        margins_N = self._margins(rows)
        module = layer_module(self.policy, settings.layer)
        start_D = start_direction(self._dimensions(module, rows), stable_seed("start", seed), self.policy.device)

        def of_batch(indices: list[int], batch: PackedSequences) -> Tensor:
            gradients_ND = self._margin_gradients(module, batch, len(start_D))
            return margin_perturbations(gradients_ND, margins_N[indices].to(start_D), start_D, settings)

        return self._by_row(rows, of_batch)

    def _dimensions(self, module: nn.Module, rows: list[PairRow]) -> int:
        """D of the states that go into the module."""
        with torch.no_grad(), kept(module) as states:
            PLAIN(self.policy, pack_sequences(self._encode(rows[:1])))
        return states[0].shape[-1]

    def _margin_gradients(self, module: nn.Module, batch: PackedSequences, dimensions: int) -> Tensor:
        """[N, D]: of the margins, with respect to a vector added to the states of all tokens of both responses.

        The reference's part of the margin has none.
        """
        shift_ND = torch.zeros(batch.size // 2, dimensions, device=self.policy.device, requires_grad=True)
        with shifted(module, shift_ND.repeat_interleave(2, dim=0)):
            logps_N2 = PLAIN(self.policy, batch).logps_N.view(-1, 2)
        margins_N = self.beta * (logps_N2[:, 0] - logps_N2[:, 1])
        (gradients_ND,) = torch.autograd.grad(margins_N.sum(), shift_ND)
        return gradients_ND

    def _margins(self, rows: list[PairRow]) -> Tensor:
        """[N], nats."""
        sequences = self._encode(rows)
        of_models = []
        for model in (self.policy, self.reference):
            scores = score_sequences(model, sequences, batch_tokens=self.batch_tokens)
            logps = {score.key: score.logp for score in scores}
            of_models.append(torch.tensor([logps[sequence_key(sequence)] for sequence in sequences]))
        rewards_N2 = self.beta * (of_models[0] - of_models[1]).view(-1, 2)
        return rewards_N2[:, 0] - rewards_N2[:, 1]

    def _means(self, rows: list[PairRow]) -> Array:
        """[N, 2, D], the states from which a response's tokens are predicted, averaged over them."""

        def of_batch(indices: list[int], batch: PackedSequences) -> Tensor:
            sums_ND = hidden_sums(self.policy, batch)
            return (sums_ND / batch.tokens_N[:, None].to(sums_ND)).view(len(indices), 2, -1)

        return self._by_row(rows, of_batch)

    def _by_row(self, rows: list[PairRow], of_batch: Callable[[list[int], PackedSequences], Tensor]) -> Array:
        """Results of the batches in the order of the rows."""
        order: list[int] = []
        parts: list[Array] = []
        for indices, batch in self._batches(rows):
            order += indices
            parts.append(of_batch(indices, batch).detach().float().cpu().numpy())
        return np.concatenate(parts)[np.argsort(order)]

    def _encode(self, rows: list[PairRow]) -> list[EncodedResponse]:
        return [self.encode(row.prompt, text) for row in rows for text in row.responses]

    def _batches(self, rows: list[PairRow]) -> Iterator[tuple[list[int], PackedSequences]]:
        """(indices of pairs, their sequences) by length, so that little is padded."""
        sequences = self._encode(rows)
        widths = [
            max(len(each.prompt_ids) + len(each.response_ids) for each in sequences[2 * n : 2 * n + 2])
            for n in range(len(rows))
        ]
        indices: list[int] = []
        for index in sorted(range(len(rows)), key=lambda index: widths[index]):
            if indices and 2 * (len(indices) + 1) * widths[index] > self.batch_tokens:
                yield indices, _packed(sequences, indices)
                indices = []
            indices.append(index)
        yield indices, _packed(sequences, indices)


def _packed(sequences: list[EncodedResponse], pairs: list[int]) -> PackedSequences:
    return pack_sequences([sequences[2 * pair + side] for pair in pairs for side in (0, 1)])
