"""How weights are trained, whatever on: what both stages of a sweep share. Names are TrainingArguments'."""

from typing import Annotated, Literal

from pydantic import Field

from epa_bench.config.lora import Lora
from epa_bench.config.values import Count, Fraction, Positive
from epa_bench.core.records import Finite, Record

Scheduler = Literal["linear", "cosine", "constant", "constant_with_warmup"]


class TrainerSettings(Record):
    """Names are those of transformers.TrainingArguments. In the supervised stage a group is one row."""

    per_device_train_batch_size: Count = 8
    """Comparison groups a forward pass; fewer where a rank's share of the step is smaller (`execution.processes`)."""

    gradient_accumulation_steps: Count = 4
    """Forward passes an optimizer step. Results depend on the product with the batch size, not on the split."""

    num_train_epochs: Count = 1
    warmup_ratio: Fraction = 0.1

    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    """Instead of warmup_ratio."""

    lr_scheduler_type: Scheduler = "linear"
    weight_decay: Annotated[Finite, Field(ge=0)] = 0.0
    max_grad_norm: Positive = 1.0

    optim: Literal["adamw_torch_fused", "adamw_torch", "adafactor", "sgd", "rmsprop", "adagrad"] = "adamw_torch_fused"
    adam_beta1: Annotated[Finite, Field(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[Finite, Field(ge=0, lt=1)] = 0.999
    adam_epsilon: Positive = 1e-8
    """The three are read by the AdamW optimizers."""

    lora: Lora | None = None
    """Train a LoRA adapter and keep the weights; `{}` takes every default. The supervised stage then merges it."""

    save_steps: Count | None = None
    """Optimizer steps between the checkpoints a killed run resumes from."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False

    fsdp: bool = False
    """Shards weights, gradients and optimizer state over the ranks (`execution.processes`) with FSDP2, instead of
    keeping a copy on each."""

    @property
    def groups_per_step(self) -> int:
        return self.per_device_train_batch_size * self.gradient_accumulation_steps
