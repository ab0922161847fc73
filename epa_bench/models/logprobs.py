"""The score pass: one function from (model, sequences) to summed log-probabilities, in fp32.

Training, reference scores and every probe go through `response_logps`.

Shapes: N sequences, T tokens of the longest, R positions that predict a response token of some sequence, V vocabulary.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from epa_bench.core.digest import digest_of
from epa_bench.core.records import ReferenceScore
from epa_bench.data.chat import EncodedResponse


@dataclass(frozen=True, slots=True)
class PaddedSequences:
    """Prompts and their responses, one sequence a row, padded on the right.

    Under a causal mask nothing sees the padding, so no attention mask is needed and positions count from 0.
    """

    ids_NT: Tensor
    prompt_lengths_N: Tensor
    lengths_N: Tensor


@dataclass(frozen=True, slots=True)
class ResponseLogps:
    """What the score pass gives for each sequence."""

    logps_N: Tensor
    """Sum over response tokens of log pi(token | what stands before), nats, fp32."""

    tokens_N: Tensor
    """Number of response tokens, the EOS included."""

    mean_logits_N: Tensor
    """Mean logit over response positions and vocabulary, without gradient: TRL's logits/chosen and logits/rejected."""


def pad_sequences(sequences: Sequence[EncodedResponse], pad_id: int) -> PaddedSequences:
    """Lays sequences into one tensor."""
    rows = [torch.tensor([*s.prompt_ids, *s.response_ids]) for s in sequences]
    return PaddedSequences(
        ids_NT=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad_id),
        prompt_lengths_N=torch.tensor([len(s.prompt_ids) for s in sequences]),
        lengths_N=torch.tensor([len(row) for row in rows]),
    )


def response_logps(model: PreTrainedModel, batch: PaddedSequences) -> ResponseLogps:
    """Log-probabilities of the responses given their prompts.

    Only positions from the shortest prompt's end on are sent through the output layer, and its logits are raised to
    fp32 before the softmax: in bf16, sums over a response land on a grid of several nats.
    """
    # The logits at position t predict token t + 1.
    first = int(batch.prompt_lengths_N.min()) - 1
    logits_NRV = _logits_from(model, batch.ids_NT, first)[:, :-1].float()
    targets_NR = batch.ids_NT[:, first + 1 :]
    position_R = torch.arange(first + 1, batch.ids_NT.shape[1], device=batch.ids_NT.device)
    in_response_NR = (position_R >= batch.prompt_lengths_N[:, None]) & (position_R < batch.lengths_N[:, None])
    chosen_NR = logits_NRV.gather(-1, targets_NR[..., None]).squeeze(-1)
    logps_NR = chosen_NR - logits_NRV.logsumexp(-1)
    tokens_N = batch.lengths_N - batch.prompt_lengths_N
    mean_logits_NR = logits_NRV.detach().mean(-1)
    return ResponseLogps(
        logps_N=logps_NR.where(in_response_NR, 0.0).sum(-1),
        tokens_N=tokens_N,
        mean_logits_N=mean_logits_NR.where(in_response_NR, 0.0).sum(-1) / tokens_N,
    )


def _logits_from(model: PreTrainedModel, ids_NT: Tensor, first: int) -> Tensor:
    """Logits at positions `first`..T-1, through transformers' `logits_to_keep` where the architecture has it."""
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        kept_NRV: Tensor = model(input_ids=ids_NT, logits_to_keep=ids_NT.shape[1] - first, use_cache=False).logits
        return kept_NRV
    logits_NTV: Tensor = model(input_ids=ids_NT, use_cache=False).logits
    return logits_NTV[:, first:]


def sequence_key(sequence: EncodedResponse) -> str:
    """Identity of a (prompt, response) pair as the model sees it."""
    return digest_of([list(sequence.prompt_ids), list(sequence.response_ids)])


@torch.no_grad()
def score_sequences(
    model: PreTrainedModel,
    sequences: Sequence[EncodedResponse],
    *,
    pad_id: int,
    batch_size: int,
    autocast: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[ReferenceScore]:
    """Scores many sequences, each distinct one once, longest first (an out-of-memory error comes at once, not late).

    `autocast`: compute in bf16 as mixed-precision training does, whose step 0 must meet the same numbers.
    `report(done, total)` is called after each batch. The result is in the order of the keys' first appearance.
    """
    distinct = {sequence_key(sequence): sequence for sequence in sequences}
    order = sorted(distinct, key=lambda key: (-_length(distinct[key]), key))
    scores: dict[str, ReferenceScore] = {}
    for start in range(0, len(order), batch_size):
        keys = order[start : start + batch_size]
        batch = pad_sequences([distinct[key] for key in keys], pad_id)
        on_device = PaddedSequences(
            *(t.to(model.device) for t in (batch.ids_NT, batch.prompt_lengths_N, batch.lengths_N))
        )
        with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast):
            result = response_logps(model, on_device)
        for key, logp, tokens in zip(keys, result.logps_N.tolist(), result.tokens_N.tolist(), strict=True):
            scores[key] = ReferenceScore(key=key, logp=logp, tokens=tokens)
        report(len(scores), len(order))
    return [scores[key] for key in distinct]


def _length(sequence: EncodedResponse) -> int:
    return len(sequence.prompt_ids) + len(sequence.response_ids)
