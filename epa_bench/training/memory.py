"""What a training takes of memory, known before its first step, and what to change where that is too much."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from epa_bench.config.trainer import TrainerSettings
from epa_bench.core.errors import TrainingError
from epa_bench.core.notices import notice
from epa_bench.data.chat import EncodedResponse
from epa_bench.models.chunks import chunk_positions
from epa_bench.models.logprobs import ScorePass, language_model
from epa_bench.training.distributed import rank_count
from epa_bench.training.estimate import GIB, Estimate, Load, ModelShape, cheaper, estimate, share_of_step
from epa_bench.training.free_memory import free_memory

CERTAIN = 0.6
"""A training is refused only where this share of the estimate is more than what is free; between that and the whole
estimate there is a notice. Measured peaks lie between .75 and 1.05 of the estimate, with an allocator that gives freed
memory back; glibc's own, on CPU, keeps more where blocks are freed in another order than they were taken."""


def shape_of(model: nn.Module) -> ModelShape:
    """From the configuration, with Llama's ratios where an architecture says it otherwise."""
    inner: Any = language_model(model)
    config = inner.config.get_text_config()
    hidden, heads = config.hidden_size, config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    parameters = list(model.parameters())
    return ModelShape(
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        layers=config.num_hidden_layers,
        hidden=hidden,
        intermediate=getattr(config, "intermediate_size", None) or 4 * hidden,
        keys_values=key_heads * (getattr(config, "head_dim", None) or hidden // heads),
        vocabulary=config.vocab_size,
        device=parameters[0].device.type,
    )


def check_memory(
    model: nn.Module,
    groups: Iterable[Sequence[EncodedResponse]],
    settings: TrainerSettings,
    score_pass: ScorePass,
    section: str = "training",
) -> None:
    """Raises TrainingError, with what to change, where the largest micro-batch cannot fit into what is free.

    `groups`: of the whole run, in its order; `section`: of the sweep file, which holds the settings. Each rank looks at
    what it would hold itself.
    """
    shape = shape_of(model)
    needs = _Needs(shape, [_GroupSize.of(group) for group in groups], score_pass, section)
    needed = needs.of(settings)
    device = next(model.parameters()).device
    # Ranks have a GPU each, but the machine's memory together.
    free = free_memory(device) // (rank_count() if device.type == "cpu" else 1)
    if needed.beyond_weights <= free:
        return
    message = (
        f"training needs about {needed.beyond_weights / GIB:.2f} GiB beside the weights ({needed}), "
        f"{free / GIB:.2f} GiB is free on the {shape.device}"
    )
    if CERTAIN * needed.beyond_weights <= free:
        notice(f"{message}: it may not fit")
        return
    raise TrainingError("\n".join([f"{message}. Less is needed with", *needs.advice(settings)]))


@dataclass(frozen=True, slots=True)
class _GroupSize:
    sequences: int
    longest: int
    packed: int
    keys: int

    @classmethod
    def of(cls, sequences: Sequence[EncodedResponse]) -> "_GroupSize":
        # A response's last token is predicted, never read.
        read = [len(sequence.response_ids) - 1 for sequence in sequences]
        alone = [len(sequence.prompt_ids) + tokens for sequence, tokens in zip(sequences, read, strict=True)]
        # One, but for weak negatives under their own.
        prompts = {tuple(sequence.prompt_ids) for sequence in sequences}
        return cls(len(sequences), max(alone), sum(map(len, prompts)) + sum(read), sum(alone))


@dataclass(frozen=True, slots=True)
class _Needs:
    """The estimate of any settings, for one model and data."""

    shape: ModelShape
    groups: list[_GroupSize]
    score_pass: ScorePass
    section: str = "training"

    def of(self, settings: TrainerSettings) -> Estimate:
        loads = self._loads(share_of_step(settings, rank_count())[0])
        return max((estimate(self.shape, load, settings) for load in loads), key=lambda found: found.beyond_weights)

    def _loads(self, batch_size: int) -> set[Load]:
        chunk = chunk_positions(self.shape.device, self.shape.vocabulary)
        loads = set()
        for start in range(0, len(self.groups), batch_size):
            batch = self.groups[start : start + batch_size]
            tokens, keys = sum(group.packed for group in batch), sum(group.keys for group in batch)
            if not self.score_pass.shares_prompts:
                tokens = keys = sum(group.sequences for group in batch) * max(group.longest for group in batch)
            loads.add(Load(tokens, keys, min(chunk, tokens) if self.score_pass.chunks_head else tokens))
        return loads

    def advice(self, settings: TrainerSettings) -> Iterator[str]:
        """Every single change that helps, with what is needed then."""
        needed = self.of(settings).beyond_weights
        for what, changed, shape in cheaper(settings, self.shape, self.section):
            found = replace(self, shape=shape).of(changed).beyond_weights
            if found < needed:
                yield f"  {what}: {found / GIB:.2f} GiB"
