"""The from-scratch reference: tokenizer, model, supervised training."""

from collections.abc import Sequence

from epa_bench.config.schema import EmbeddedData, ScratchModel, Sft
from epa_bench.core.errors import DataError
from epa_bench.core.files import write_json
from epa_bench.core.records import Prompt
from epa_bench.data.chat import EncodedResponse, Renderer
from epa_bench.data.embedded.corpus import sft_corpus
from epa_bench.data.embedded.families import make_prompts
from epa_bench.data.tokenizer import train_tokenizer
from epa_bench.models.checkpoint import new_model, ready, save_checkpoint
from epa_bench.steps import loading  # noqa: F401 - sets threads and verbosity
from epa_bench.steps.context import StepContext
from epa_bench.training.run import remove_checkpoints
from epa_bench.training.sft import train_sft

SAVE_STEPS = 100


def run(context: StepContext) -> None:
    """Writes `model/`, `training_log.jsonl` and `summary.json`."""
    shape = ScratchModel.model_validate(context.config["model"])
    settings = Sft.model_validate(context.config["sft"])
    corpus = _corpus(context)
    texts = [text if isinstance(text, str) else "\n".join(m.content for m in text) for pair in corpus for text in pair]
    tokenizer = train_tokenizer(texts, shape.vocab_size, model_max_length=shape.max_position_embeddings)
    model = ready(new_model(shape, tokenizer, seed=settings.seed), context.device)
    max_length = min(shape.max_position_embeddings, context.config["max_length"])
    renderer = Renderer(tokenizer, template="chat", max_length=max_length)
    sequences, too_long = _encode(renderer, corpus)
    train_sft(
        model,
        sequences,
        settings,
        context.folder,
        longest=max_length,
        device=context.device,
        save_steps=SAVE_STEPS,
        report=context.report,
    )
    save_checkpoint(context.folder / "model", model, tokenizer, {"kind": "reference", "recipe": dict(context.config)})
    remove_checkpoints(context.folder)
    summary = {
        "parameters": model.num_parameters(),
        "vocabulary": len(tokenizer),
        "sequences": len(sequences),
        "prompts_too_long": too_long,
        "responses_truncated": sum(sequence.truncated for sequence in sequences),
    }
    write_json(context.folder / "summary.json", summary)


def _corpus(context: StepContext) -> Sequence[tuple[Prompt, str]]:
    """The embedded task's corpus, or the chosen responses of the training file."""
    if "preferences" in context.inputs:
        return [(preference.prompt, preference.chosen.text) for preference in context.preferences("train")]
    task = EmbeddedData.model_validate(context.config["task"])
    prompts = make_prompts(task.sft_prompts, task.seed, "sft")
    return sft_corpus(prompts, task.seed, correct=task.correct, off_topic=task.off_topic)


def _encode(renderer: Renderer, corpus: Sequence[tuple[Prompt, str]]) -> tuple[list[EncodedResponse], int]:
    """Token ids; prompts that do not fit are left out here and counted (the preference stage refuses them by row)."""
    sequences, too_long = [], 0
    for prompt, response in corpus:
        try:
            sequences.append(renderer.encode(prompt, response))
        except DataError:
            too_long += 1
    if not sequences:
        raise DataError("no prompt of the training data fits; raise data.max_length")
    return sequences, too_long
