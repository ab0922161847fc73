"""Opening what several steps need: model, tokenizer and renderer of a checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from epa_bench.data.chat import Renderer
from epa_bench.models.adapter_files import is_adapter, tokenizer_folder
from epa_bench.models.adapters import load_adapter, load_merged
from epa_bench.models.checkpoint import load_model, load_tokenizer
from epa_bench.models.identity import too_long
from epa_bench.steps.context import StepContext

logging.set_verbosity_error()  # type: ignore[no-untyped-call]
logging.disable_progress_bar()  # type: ignore[no-untyped-call]


_Model = TypeVar("_Model", bound=nn.Module)
_Held = TypeVar("_Held", bound=nn.Module, covariant=True)


@dataclass(frozen=True)
class Opened(Generic[_Held]):
    """A checkpoint in memory."""

    model: _Held
    tokenizer: PreTrainedTokenizerBase
    renderer: Renderer

    @property
    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id)


def open_checkpoint(context: StepContext, folder: Path) -> Opened[PreTrainedModel]:
    """Loads a checkpoint by the cell's `text` settings (template, max_length, trust_remote_code) and `dtype`.

    An adapter is merged into its base, in memory only: merged weights of every arm would fill disks. Raises
    CheckpointError where it cannot be loaded, or sequences of max_length tokens do not fit its context.
    """
    tokenizer = _tokenizer(context, folder)
    if is_adapter(folder):
        return _opened(context, tokenizer, load_merged(context.base_folder(), folder, **_loading(context)), folder)
    return _opened(context, tokenizer, load_model(folder, **_loading(context)), folder)


def open_reference_adapter(context: StepContext) -> Opened[PeftModel]:
    """The reference that is an adapter, beside its base: as a copy of it is trained. Raises CheckpointError."""
    folder = context.reference_folder()
    tokenizer = _tokenizer(context, folder)
    base = load_model(context.base_folder(), **_loading(context))
    return _opened(context, tokenizer, load_adapter(base, folder), folder)


def _loading(context: StepContext) -> dict[str, Any]:
    trust = context.config["text"]["trust_remote_code"]
    return {"dtype": context.config["dtype"], "device": context.device, "trust_remote_code": trust}


def _opened(context: StepContext, tokenizer: PreTrainedTokenizerBase, model: _Model, folder: Path) -> Opened[_Model]:
    max_length = context.config["text"]["max_length"]
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and max_length > positions:
        raise too_long(folder, max_length, positions)
    return Opened(model, tokenizer, _renderer(context, tokenizer))


def open_renderer(context: StepContext, folder: Path) -> Renderer:
    """Only the tokenizer and its renderer."""
    return _renderer(context, _tokenizer(context, folder))


def _tokenizer(context: StepContext, folder: Path) -> PreTrainedTokenizerBase:
    whose = tokenizer_folder(folder, context.base_folder() if is_adapter(folder) else None)
    text = context.config["text"]
    tokenizer = load_tokenizer(whose, trust_remote_code=text["trust_remote_code"])
    if "chat_template" in text:
        # Before the checkpoint is trained to it, the tokenizer has none or another.
        tokenizer.chat_template = text["chat_template"]
    return tokenizer


def _renderer(context: StepContext, tokenizer: PreTrainedTokenizerBase) -> Renderer:
    text = context.config["text"]
    key = context.hints.get("template_key", "reference.template")
    return Renderer(tokenizer, template=text["template"], max_length=text["max_length"], key=key)
