"""Loading and saving models and tokenizers: safetensors only, dropout off, the reference's identity kept beside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from epa_bench.config.schema import ScratchModel
from epa_bench.core.errors import CheckpointError
from epa_bench.core.files import write_json
from epa_bench.models.lineage import IDENTITY_FILE


def load_model(
    folder: Path, *, dtype: Literal["float32", "bfloat16"], device: str, trust_remote_code: bool = False
) -> PreTrainedModel:
    """A causal language model in evaluation mode, every dropout set to 0.

    Policy and reference must agree at step 0, which dropout would spoil (DPO's trainers turn it off likewise).
    Raises CheckpointError where the folder cannot be loaded or lacks a weight.
    """
    model, missing = load_weights(
        AutoModelForCausalLM, folder, dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code
    )
    if missing:
        # transformers only warns, and goes on with random weights.
        raise CheckpointError(
            f"{folder} holds no weights for {len(missing)} parameters of {type(model).__name__} ({missing[0]} ...): "
            "expected the whole checkpoint of a causal language model"
        )
    _make_generation_config_writable(model)
    return ready(model, device)


def load_weights(
    kind: Any, folder: Path, *, dtype: torch.dtype, trust_remote_code: bool = False, **config: Any
) -> tuple[PreTrainedModel, list[str]]:
    """(a model of one of transformers' `AutoModelFor...`, the names of parameters that the folder has no weights for).

    Every dropout is 0; `config` overrides keys of the configuration. Raises CheckpointError.
    """
    try:
        settings = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code, **config)
        _set_dropout_to_zero(settings)
        model, found = kind.from_pretrained(
            folder,
            config=settings,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise CheckpointError(f"cannot load a model from {folder}: {_first_line(error)}") from error
    return model, sorted(found["missing_keys"])


def _set_dropout_to_zero(config: PreTrainedConfig) -> None:
    """Every rate by whatever name (attn_pdrop, hidden_dropout, layerdrop), also in the configurations inside."""
    for name, value in list(vars(config).items()):
        if isinstance(value, PreTrainedConfig):
            _set_dropout_to_zero(value)
        elif "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)


def _make_generation_config_writable(model: PreTrainedModel) -> None:
    """Reduces generation settings that transformers reads but refuses to write to their token ids.

    Many checkpoints set a temperature without `do_sample`; saving would fail, after the training. No engine here uses
    more of these settings than the token ids.
    """
    settings = model.generation_config
    try:
        settings.validate(strict=True)
    except ValueError:
        model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            bos_token_id=settings.bos_token_id, eos_token_id=settings.eos_token_id
        )


def ready(model: PreTrainedModel, device: str) -> PreTrainedModel:
    """The model on the device, in evaluation mode."""
    # Through Module: transformers wraps `to` and `eval` without types.
    torch.nn.Module.to(model, device)
    torch.nn.Module.eval(model)
    return model


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer, with a padding token. Raises CheckpointError where there is none."""
    tokenizer = read_tokenizer(folder, trust_remote_code=trust_remote_code)
    if tokenizer.eos_token_id is None:
        raise CheckpointError(
            f"the tokenizer in {folder} has no EOS token, so no answer could end. Set `eos_token` in its "
            "tokenizer_config.json."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def read_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The folder's tokenizer as it is. Raises CheckpointError where there is none."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"cannot load a tokenizer from {folder}: {_first_line(error)}") from error
    return tokenizer


def new_model(shape: ScratchModel, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> PreTrainedModel:
    """A randomly initialised Llama, fp32, tied embeddings."""
    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
        num_key_value_heads=shape.num_attention_heads,
        max_position_embeddings=shape.max_position_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        initializer_range=shape.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def save_checkpoint(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    identity: dict[str, object],
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Weights as safetensors, tokenizer, and `epa_bench.json` with the identity.

    `weights` by name instead of the model's own, where it holds only shards of them.
    """
    model.save_pretrained(folder, state_dict=None if weights is None else dict(weights))
    tokenizer.save_pretrained(folder)
    write_json(folder / IDENTITY_FILE, identity)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
