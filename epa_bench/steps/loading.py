"""Opening what several steps need: model, tokenizer and renderer of a checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from epa_bench.core.errors import CheckpointError
from epa_bench.data.chat import Renderer
from epa_bench.models.checkpoint import load_model, load_tokenizer
from epa_bench.steps.context import StepContext

logging.set_verbosity_error()  # type: ignore[no-untyped-call]
logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Opened:
    """A checkpoint in memory."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    renderer: Renderer

    @property
    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id)


def open_checkpoint(context: StepContext, folder: Path) -> Opened:
    """Loads a checkpoint by the cell's `text` settings (template, max_length, trust_remote_code) and `dtype`.

    Raises CheckpointError where it cannot be loaded, or sequences of max_length tokens do not fit its context.
    """
    text = context.config["text"]
    trust = text["trust_remote_code"]
    tokenizer = load_tokenizer(folder, trust_remote_code=trust)
    model = load_model(folder, dtype=context.config["dtype"], device=context.device, trust_remote_code=trust)
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and text["max_length"] > positions:
        raise CheckpointError(
            f"data.max_length is {text['max_length']} tokens, the model in {folder} has a context of {positions}; "
            f"set data.max_length to {positions} or less"
        )
    return Opened(model, tokenizer, Renderer(tokenizer, template=text["template"], max_length=text["max_length"]))


def open_renderer(context: StepContext, folder: Path) -> Renderer:
    """Only the tokenizer and its renderer."""
    text = context.config["text"]
    tokenizer = load_tokenizer(folder, trust_remote_code=text["trust_remote_code"])
    return Renderer(tokenizer, template=text["template"], max_length=text["max_length"])
