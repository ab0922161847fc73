"""LoRA adapters through PEFT: put on a base, saved, loaded beside their base or merged into it.

Hu et al. 2021, arXiv:2106.09685: W + scaling * B A with W frozen, scaling lora_alpha / r; Kalajdzievski 2023,
arXiv:2312.03732 (rsLoRA), divides by sqrt(r). B starts at zero, so a new adapter changes nothing: the reference is the
model without it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed
from transformers.pytorch_utils import Conv1D

from epa_bench.config.lora import Lora
from epa_bench.config.values import ALL_LINEAR
from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import CheckpointError
from epa_bench.core.files import write_json
from epa_bench.models.adapter_files import CONFIG_FILE, WEIGHTS_FILE, head_refused, read_adapter, unmatched
from epa_bench.models.checkpoint import load_model
from epa_bench.models.lineage import IDENTITY_FILE


def add_adapter(model: PreTrainedModel, lora: Lora, *, seed: int) -> PeftModel:
    """A new adapter on `model`, which is changed in place and frozen; A is drawn from `seed`, B is zero.

    Raises CheckpointError where a target is no layer of the model, or its output layer or embeddings.
    """
    settings = lora.recipe()
    targets = settings["target_modules"]
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    missing = [] if targets == [ALL_LINEAR] else unmatched(targets, linear)
    if missing:
        raise CheckpointError(f"`training.lora.target_modules`: the model has no linear layer called {missing[0]}")
    if targets == [ALL_LINEAR]:
        settings["target_modules"] = ALL_LINEAR
    settings["fan_in_fan_out"] = any(isinstance(module, Conv1D) for module in model.modules())
    set_seed(stable_seed("lora", seed) % 2**32)
    return _attach(model, settings, "`training.lora`")


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """The adapter of `folder` on its base, which is changed in place and frozen; ready to be trained on.

    Raises CheckpointError where it is no plain LoRA adapter, or does not fit the model.
    """
    policy = _attach(model, read_adapter(folder).settings, str(folder))
    try:
        result: Any = set_peft_model_state_dict(policy, load_file(folder / WEIGHTS_FILE))
    except RuntimeError as error:
        raise CheckpointError(
            f"the adapter in {folder} belongs to another base than {type(model).__name__} of {model.name_or_path}: "
            f"{str(error).strip().splitlines()[-1].strip()}"
        ) from error
    strange = [*result.unexpected_keys, *(key for key in result.missing_keys if ".lora_" in key)]
    if strange:
        raise CheckpointError(
            f"the adapter in {folder} belongs to another base than {type(model).__name__} of {model.name_or_path}: "
            f"only one of them has {strange[0]}"
        )
    return policy


def _attach(model: PreTrainedModel, settings: Mapping[str, Any], whose: str) -> PeftModel:
    inner: Any = model
    ends = (inner.get_output_embeddings(), inner.get_input_embeddings())
    head_and_embeddings = [module.weight for module in ends if module is not None]
    try:
        policy: PeftModel = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{whose}: {str(error).splitlines()[0]}") from error
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            layer = cast(Any, module).get_base_layer()
            if any(layer.weight is weight for weight in head_and_embeddings):
                raise CheckpointError(f"{whose}: {head_refused(name)}")
    nn.Module.train(policy, model.training)
    return policy


def load_merged(
    base: Path, folder: Path, *, dtype: Literal["float32", "bfloat16"], device: str, trust_remote_code: bool = False
) -> PreTrainedModel:
    """Base and adapter as one model, bit for bit what a saved merged checkpoint gives when it is loaded in `dtype`.

    Merged in fp32 and rounded once: added to weights of half precision, most of a small update would be rounded away.
    Raises CheckpointError as `load_model` and `load_adapter` do.
    """
    model = load_model(base, dtype="float32", device=device, trust_remote_code=trust_remote_code)
    merged = merge(load_adapter(model, folder))
    for parameter in merged.parameters():
        # Not `to`, which rounds buffers too: rotary frequencies are fp32 in every model.
        parameter.data = parameter.data.to(getattr(torch, dtype))
    return merged


def merge(policy: PeftModel) -> PreTrainedModel:
    """The base with the adapter added to its weights, in place; every weight can be trained again."""
    try:
        merged: PreTrainedModel = cast(Any, policy).merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise CheckpointError(f"cannot merge the adapter into {policy.name_or_path}: {error}") from error
    nn.Module.requires_grad_(merged, True)
    return merged


def save_adapter(
    folder: Path,
    policy: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    base: str,
    identity: dict[str, object],
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """The adapter as PEFT reads it, tokenizer, and `epa_bench.json` with the identity.

    Not by PEFT's `save_pretrained`, which writes this machine's path of the base, sets in the order of the hash seed,
    and a model card, and may ask the hub for the base's configuration. `base`: what the base is to be called;
    `weights`: by name instead of the policy's own, where it holds only shards of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = None if weights is None else dict(weights)
    adapter = get_peft_model_state_dict(policy, state_dict=state, save_embedding_layers=False)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in adapter.items()}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    config = policy.peft_config["default"].to_dict()
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    write_json(folder / CONFIG_FILE, {**plain, "base_model_name_or_path": base, "inference_mode": True})
    tokenizer.save_pretrained(folder)
    write_json(folder / IDENTITY_FILE, identity)
