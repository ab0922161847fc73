"""What a training takes of memory, from the model's sizes and what a forward pass sends through it; without torch.

Activations are counted as autograd keeps them of a decoder layer like Llama's: in fp32 10 tensors of the hidden size
and 4 of the intermediate size a token, and keys and values once for every segment that attends to them (counted with
torch.autograd.graph.saved_tensors_hooks, torch 2.13, transformers 5.19).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from epa_bench.config.trainer import TrainerSettings
from epa_bench.core.errors import ConfigError

_STATE_FLOATS = {
    "adamw_torch_fused": 2.0,
    "adamw_torch": 2.0,
    "rmsprop": 1.0,
    "adagrad": 1.0,
    # Row and column sums of every matrix: nothing beside the matrix.
    "adafactor": 0.0,
    "sgd": 0.0,
}
"""Numbers an optimizer keeps for each trained one."""

_BF16_SHARE = 0.65
"""Of fp32's activations: norms stay in fp32 under autocast."""

GIB = 2**30


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What of a model decides the memory of its training."""

    parameters: int
    trainable: int
    layers: int
    hidden: int
    intermediate: int

    keys_values: int
    """Size of a token's keys, and of its values: key heads times head size."""

    vocabulary: int
    device: str


@dataclass(frozen=True, slots=True)
class Load:
    """What one forward pass sends through the model."""

    tokens: int
    """Positions that go through the layers, padding included."""

    keys: int
    """Positions attended to, a shared prompt counted once for each response behind it."""

    logits: int
    """Positions whose logits are held at a time."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes at the peak of a step."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    head: int
    """Logits and their gradient, and the gradient of the output layer before it is added to the others."""

    @property
    def beyond_weights(self) -> int:
        """What is still to be taken once the model is loaded."""
        return self.gradients + self.optimizer + self.activations + self.head

    def __str__(self) -> str:
        parts = {
            "gradients": self.gradients,
            "optimizer state": self.optimizer,
            "activations": self.activations,
            "output layer": self.head,
        }
        return ", ".join(f"{name} {size / GIB:.2f}" for name, size in parts.items())


def estimate(shape: ModelShape, load: Load, settings: TrainerSettings) -> Estimate:
    """Weights, gradients and optimizer state in fp32; mixed precision adds a bf16 copy of the weights."""
    bf16 = settings.dtype == "bfloat16"
    layer = load.tokens * (10 * shape.hidden + 4 * shape.intermediate) + 2 * load.keys * shape.keys_values
    kept = load.tokens * shape.hidden if settings.gradient_checkpointing else layer
    # All layers wait for the backward pass, which works on one of them.
    activations = 4 * (shape.layers * kept + layer)
    activations = round(_BF16_SHARE * activations) + 2 * shape.parameters if bf16 else activations
    return Estimate(
        weights=4 * shape.parameters,
        gradients=4 * shape.trainable,
        optimizer=round(4 * _STATE_FLOATS[settings.optim] * shape.trainable),
        activations=activations,
        head=4 * (3 * load.logits + shape.hidden) * shape.vocabulary,
    )


def share_of_step(settings: TrainerSettings, ranks: int) -> tuple[int, int]:
    """(groups a forward pass, passes) of each rank in an optimizer step: as many groups a pass as the settings allow.

    Raises ConfigError where the groups of a step cannot be shared out evenly.
    """
    share, rest = divmod(settings.groups_per_step, ranks)
    if rest:
        raise ConfigError(
            f"{ranks} ranks cannot share a step of {settings.per_device_train_batch_size} x "
            f"{settings.gradient_accumulation_steps} groups evenly; choose a number of ranks that divides "
            f"{settings.groups_per_step}"
        )
    batch = max(size for size in range(1, settings.per_device_train_batch_size + 1) if share % size == 0)
    return batch, share // batch


def cheaper(
    settings: TrainerSettings, shape: ModelShape, section: str = "training"
) -> Iterator[tuple[str, TrainerSettings, ModelShape]]:
    """Every single change that may need less memory: what to write into the sweep's section, what is trained then."""
    batch, steps = settings.per_device_train_batch_size, settings.gradient_accumulation_steps
    for smaller in dict.fromkeys((batch // 2, 1)):
        if smaller and settings.groups_per_step % smaller == 0:
            split = {
                "per_device_train_batch_size": smaller,
                "gradient_accumulation_steps": batch * steps // smaller,
            }
            what = " and ".join(f"{section}.{name}: {value}" for name, value in split.items())
            yield f"{what} (the same results)", settings.model_copy(update=split), shape
    for name, value, remark in (
        ("gradient_checkpointing", True, " (the same results, slower)"),
        ("dtype", "bfloat16", ""),
        ("optim", "adafactor", ""),
    ):
        yield (
            f"{section}.{name}: {str(value).lower()}{remark}",
            settings.model_copy(update={name: value}),
            shape,
        )
    if settings.lora is None:
        yield f"{section}.lora: {{}} (adapters instead of all weights)", settings, replace(shape, trainable=0)
