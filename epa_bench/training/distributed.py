"""One training on several ranks (processes): torch data parallel, or FSDP2 shards.

The plan has fixed the groups of every optimizer step, so ranks only share them out: with R ranks of B groups a forward
pass and A passes, rank r takes passes r, R + r, 2R + r, ... of the step, each B consecutive groups, and R * A * B is
the step. Gradients are averaged over equal shares, which is the mean over the step.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist
from peft import PeftModel
from torch import Tensor, nn

from epa_bench.config.trainer import TrainerSettings
from epa_bench.core.errors import ConfigError
from epa_bench.losses.metrics import Tally
from epa_bench.training.estimate import share_of_step

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

_T = TypeVar("_T")

RENDEZVOUS = "EPA_BENCH_RENDEZVOUS"
"""Environment variable: the file through which ranks find each other. Under torchrun there is none, but a port."""


def rank_count() -> int:
    """Ranks of this training; 1 in an ordinary process."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_rank() -> bool:
    """Whether this process writes the outputs."""
    return os.environ.get("RANK", "0") == "0"


def join_ranks(device: str) -> None:
    """Connects the ranks that `execution.ranks` started, and gives each its GPU.

    Does nothing in an ordinary process; under torchrun accelerate connects the ranks. Raises ConfigError where there
    are fewer GPUs than ranks.
    """
    if RENDEZVOUS not in os.environ:
        return
    rank, count = int(os.environ["RANK"]), rank_count()
    if device == "cuda":
        if torch.cuda.device_count() < count:
            raise ConfigError(
                f"execution.processes: {count} ranks, but {torch.cuda.device_count()} GPUs are in sight; lower it, or "
                "show more (CUDA_VISIBLE_DEVICES)"
            )
        torch.cuda.set_device(rank)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{os.environ[RENDEZVOUS]}", rank=rank, world_size=count)


def leave_ranks() -> None:
    """Takes the connection down in good order, where there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def wait_for_ranks() -> None:
    """Returns when every rank is here."""
    if dist.is_initialized():
        dist.barrier()


def rank_arguments(settings: TrainerSettings, device: str) -> dict[str, Any]:
    """What TrainingArguments need to know of the ranks. Raises ConfigError where they do not fit the settings."""
    ranks = rank_count()
    batch, accumulation = share_of_step(settings, ranks)
    if settings.fsdp and ranks == 1:
        raise ConfigError("training.fsdp shards over the ranks of a training, and there is one; raise their number")
    arguments: dict[str, Any] = {
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulation,
        # Every parameter is used in every pass. To look for unused ones costs time, and is wrong where a parameter is
        # used behind the model's own outputs.
        "ddp_find_unused_parameters": False,
        # Every rank reads its own share; tensors of a first rank's batch could not be cut into equal parts.
        "accelerator_config": {"split_batches": False, "dispatch_batches": False},
    }
    if ranks > 1 and device == "cpu":
        arguments["ddp_backend"] = "gloo"
    if settings.fsdp:
        arguments["fsdp"] = True
        arguments["fsdp_config"] = {"version": 2, "state_dict_type": "SHARDED_STATE_DICT"}
    return arguments


def sum_gradients_in_fp32(arguments: "TrainingArguments") -> None:
    """Under FSDP2 in bf16, gathers and uses weights in bf16 but sums gradients in fp32, unlike accelerate.

    There is no autocast then (its bf16 copies of the weights would outlive the shards they were made of), so the
    reference is scored with bf16 weights too.
    """
    if arguments.fsdp_plugin_args is not None and arguments.bf16:
        from torch.distributed.fsdp import MixedPrecisionPolicy

        arguments.fsdp_plugin_args["mixed_precision_policy"] = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32
        )


def shard_on_cpu(trainer: "Trainer") -> None:
    """Turns FSDP on where accelerate 1.15 leaves it out: on CPU it would go on with data parallelism, silently.

    (`AcceleratorState.__init__` looks at its FSDP plugin for every kind of device but MULTI_CPU.) FSDP2 itself runs on
    gloo.
    """
    if not trainer.args.fsdp or trainer.is_fsdp_enabled:
        return
    from accelerate.utils import (  # type: ignore[import-untyped]
        DistributedType,
        FullyShardedDataParallelPlugin,
    )

    state = trainer.accelerator.state
    state.distributed_type = DistributedType.FSDP
    state.fsdp_plugin = FullyShardedDataParallelPlugin(**trainer.args.fsdp_plugin_args)
    trainer.is_fsdp_enabled = True


def found_by_first_rank(find: Callable[[], _T]) -> _T:
    """What the first rank finds, known to all; the others do not look."""
    if not dist.is_initialized():
        return find()
    box = [find() if is_first_rank() else None]
    dist.broadcast_object_list(box)
    return cast(_T, box[0])


def of_all_ranks(items: list[_T]) -> list[_T]:
    """The items of every rank, in their order. Every rank must call it."""
    if not dist.is_initialized():
        return items
    boxes: list[list[_T]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(boxes, items)
    return [item for box in boxes for item in box]


def sum_over_ranks(tallies: Mapping[str, Tally]) -> dict[str, Tally]:
    """The tallies of the whole step; every rank has the same names in the same order."""
    if not tallies or not dist.is_initialized():
        return dict(tallies)
    sums_M2 = torch.stack([torch.stack([tally.total, tally.count]) for tally in tallies.values()])
    dist.all_reduce(sums_M2)
    return {name: Tally(total, count) for name, (total, count) in zip(tallies, sums_M2, strict=True)}


def whole_weights(model: nn.Module) -> dict[str, Tensor] | None:
    """The weights of a model that FSDP2 has sharded, gathered on the first rank's CPU (elsewhere empty).

    Of a PEFT model those of its adapter; None for a model that is whole anyway. Every rank must call it.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    from torch.distributed.fsdp import FSDPModule

    if not isinstance(model, FSDPModule):
        return None
    adapter = isinstance(model, PeftModel)
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=adapter)
    weights = cast(dict[str, Tensor], get_model_state_dict(model, options=whole))
    # Gathered apart, tied weights are no longer one tensor, of which `save_pretrained` would keep one name.
    tied = getattr(model, "all_tied_weights_keys", {})
    return {name: tensor for name, tensor in weights.items() if name not in tied}
