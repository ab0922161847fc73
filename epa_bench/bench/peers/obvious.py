"""The implementation one writes first: a padded row a candidate, logits everywhere, the reference at every step.

Shapes: N sequences (K of each group, one group after the other), T tokens of the longest, V vocabulary, G groups,
K candidates.
"""

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from epa_bench.bench.batches import PAD_ID
from epa_bench.bench.peers.sides import Optimizer, Side
from epa_bench.bench.subject import BETA, Subject
from epa_bench.data.chat import EncodedResponse


def build(subject: Subject) -> Side:
    """DPO and EPA are the same here: minus the log of the positive's share in the softmax of the scores."""
    return _Obvious(subject)


class _Obvious:
    def __init__(self, subject: Subject) -> None:
        self._batches = subject.batches
        self._candidates = subject.case.candidates
        self._model, self._reference = subject.new_model(), subject.new_model()
        self._optimizer = Optimizer(self._model)

    def step(self, index: int) -> float:
        inputs = _pad([sequence for group in self._batches[index] for sequence in group])
        inputs = {name: tensor.to(self._model.device) for name, tensor in inputs.items()}
        logps_N = _logps(self._model, **inputs)
        with torch.no_grad():
            ref_logps_N = _logps(self._reference, **inputs)
        scores_GK = BETA * (logps_N - ref_logps_N).view(-1, self._candidates)
        loss = -scores_GK.log_softmax(-1)[:, 0].mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.update()
        return float(loss.detach())


def _pad(sequences: list[EncodedResponse]) -> dict[str, Tensor]:
    rows = [[*sequence.prompt_ids, *sequence.response_ids] for sequence in sequences]
    prompts = [len(sequence.prompt_ids) for sequence in sequences]
    return {
        "input_ids_NT": pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD_ID),
        "attention_mask_NT": pad_sequence([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True),
        "response_mask_NT": pad_sequence(
            [torch.arange(len(row)) >= prompt for row, prompt in zip(rows, prompts, strict=True)], batch_first=True
        ),
    }


def _logps(model: PreTrainedModel, input_ids_NT: Tensor, attention_mask_NT: Tensor, response_mask_NT: Tensor) -> Tensor:
    """Summed log-probs of the responses, [N]."""
    logits_NTV: Tensor = model(input_ids=input_ids_NT, attention_mask=attention_mask_NT).logits[:, :-1]
    logps_NT = logits_NTV.log_softmax(-1).gather(-1, input_ids_NT[:, 1:, None])[..., 0]
    return (logps_NT * response_mask_NT[:, 1:]).sum(-1)
