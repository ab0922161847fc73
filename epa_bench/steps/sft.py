"""The reference that is a checkpoint trained further: its weights after the supervised stage, its own tokenizer."""

import dataclasses
from collections.abc import Mapping, Sequence

from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from epa_bench.config.supervised import CheckpointSft
from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.core.files import write_json
from epa_bench.data.chat import Renderer
from epa_bench.data.encoded_rows import EncodedRows
from epa_bench.data.supervised import SupervisedRow
from epa_bench.models.adapters import add_adapter, merge
from epa_bench.models.checkpoint import load_tokenizer, save_checkpoint
from epa_bench.models.tokenizers import check_same_tokenizer
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_checkpoint, open_renderer
from epa_bench.steps.supervised import chosen_rows, supervised_rows
from epa_bench.training.distributed import is_first_rank, join_ranks, leave_ranks, whole_weights
from epa_bench.training.run import remove_checkpoints
from epa_bench.training.sft import train_further


def run(context: StepContext) -> None:
    """Writes `model/`, the log and speed of training, and `summary.json`.

    Also run by several ranks, each with the same context. An adapter that is given is merged into its base first, one
    that is trained in the end. Raises CheckpointError for a checkpoint that cannot be loaded or has no chat template,
    DataError that lists the rows that do not fit or says that an aligned model has no score of a row, TrainingError.
    """
    join_ranks(context.device)
    settings = CheckpointSft.model_validate({**context.config["sft"], "save_steps": context.hints["save_steps"]})
    rows = supervised_rows(context)
    kept, scores = chosen_rows(context, settings, rows)
    renderer = open_renderer(context, context.reference_folder())
    sequences, fitting = _fitting(renderer, kept, context.config["invalid_rows"])
    # What is sharded may never be whole on one GPU.
    opened = open_checkpoint(
        dataclasses.replace(context, device="cpu") if settings.fsdp else context, context.reference_folder()
    )
    model = opened.model if settings.lora is None else add_adapter(opened.model, settings.lora, seed=settings.seed)
    train_further(
        model,
        sequences,
        settings,
        context.folder,
        longest=context.config["text"]["max_length"],
        device=context.device,
        report=context.report,
        aligned=[scores[i] for i in fitting],
    )
    weights = whole_weights(model)
    if is_first_rank():
        _save(context, model, opened.tokenizer, weights)
        summary = {
            "rows": len(rows),
            "sequences": len(sequences),
            "rows_filtered_out": len(rows) - len(kept),
            "rows_that_do_not_fit": len(kept) - len(sequences),
            "responses_truncated": sum(sequence.truncated for sequence in sequences),
            "rows_left_over_at_the_end": settings.num_train_epochs * len(sequences) % settings.groups_per_step,
        }
        write_json(context.folder / "summary.json", summary)
        remove_checkpoints(context.folder)
    leave_ranks()


def _save(
    context: StepContext,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    weights: Mapping[str, Tensor] | None,
) -> None:
    folder = context.folder / "model"
    whole = merge(model) if isinstance(model, PeftModel) else model
    save_checkpoint(folder, whole, tokenizer, {"kind": "reference", "recipe": dict(context.config)}, weights)
    trust = context.config["text"]["trust_remote_code"]
    check_same_tokenizer(tokenizer, load_tokenizer(folder, trust_remote_code=trust))


def _fitting(renderer: Renderer, rows: Sequence[SupervisedRow], invalid_rows: str) -> tuple[EncodedRows, list[int]]:
    """Token ids, and of which rows: prompts are never cut, so one that is too long is refused by row, or left out."""
    sequences = EncodedRows()
    fitting, problems = [], []
    for i, row in enumerate(rows):
        try:
            sequences.append(renderer.encode(row.prompt, row.response))
        except DataError as error:
            problems.append(Problem(row.source, str(error)))
        else:
            fitting.append(i)
    if problems and (invalid_rows == "error" or not sequences):
        raise DataError(
            list_problems(problems, "the supervised rows")
            + ("" if not sequences else "\n`invalid_rows: drop` of their data leaves these rows out and counts them.")
        )
    return sequences, fitting
