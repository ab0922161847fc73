"""The from-scratch reference: tokenizer, model, supervised training."""

from collections.abc import Iterator, Sequence

from epa_bench.config.schema import ScratchModel
from epa_bench.config.supervised import Sft
from epa_bench.core.errors import DataError
from epa_bench.core.files import write_json
from epa_bench.data.chat import EncodedResponse, Renderer
from epa_bench.data.supervised import SupervisedRow
from epa_bench.data.tokenizer import train_tokenizer
from epa_bench.models.checkpoint import new_model, ready, save_checkpoint
from epa_bench.steps import loading  # noqa: F401 - sets threads and verbosity
from epa_bench.steps.context import StepContext
from epa_bench.steps.supervised import chosen_rows, supervised_rows
from epa_bench.training.run import remove_checkpoints
from epa_bench.training.sft import train_sft

SAVE_STEPS = 100


def run(context: StepContext) -> None:
    """Writes `model/`, `training_log.jsonl` and `summary.json`.

    Raises DataError where an aligned model has no score of a row.
    """
    shape = ScratchModel.model_validate(context.config["model"])
    settings = Sft.model_validate(context.config["sft"])
    rows = supervised_rows(context)
    # Of all rows, so that it is the same one whatever a filter keeps.
    tokenizer = train_tokenizer(
        [text for row in rows for text in _texts(row)], shape.vocab_size, model_max_length=shape.max_position_embeddings
    )
    model = ready(new_model(shape, tokenizer, seed=settings.seed), context.device)
    max_length = min(shape.max_position_embeddings, context.config["max_length"])
    kept, scores = chosen_rows(context, settings, rows)
    sequences, fitting = _encode(Renderer(tokenizer, template="chat", max_length=max_length), kept)
    train_sft(
        model,
        sequences,
        settings,
        context.folder,
        longest=max_length,
        device=context.device,
        save_steps=SAVE_STEPS,
        report=context.report,
        aligned=[scores[i] for i in fitting],
    )
    save_checkpoint(context.folder / "model", model, tokenizer, {"kind": "reference", "recipe": dict(context.config)})
    remove_checkpoints(context.folder)
    summary = {
        "parameters": model.num_parameters(),
        "vocabulary": len(tokenizer),
        "sequences": len(sequences),
        "prompts_too_long": len(kept) - len(sequences),
        "responses_truncated": sum(sequence.truncated for sequence in sequences),
        "rows_filtered_out": len(rows) - len(kept),
    }
    write_json(context.folder / "summary.json", summary)


def _texts(row: SupervisedRow) -> Iterator[str]:
    yield row.prompt if isinstance(row.prompt, str) else "\n".join(message.content for message in row.prompt)
    yield row.response


def _encode(renderer: Renderer, rows: Sequence[SupervisedRow]) -> tuple[list[EncodedResponse], list[int]]:
    """Token ids and of which rows; prompts that do not fit are left out here and counted (the preference stage refuses
    them by row)."""
    sequences, fitting = [], []
    for i, row in enumerate(rows):
        try:
            sequences.append(renderer.encode(row.prompt, row.response))
        except DataError:
            continue
        fitting.append(i)
    if not sequences:
        raise DataError("no prompt of the training data fits; raise data.max_length")
    return sequences, fitting
