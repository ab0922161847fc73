"""What one checkpoint answers to the evaluation prompts."""

from collections.abc import Sequence
from pathlib import Path

from epa_bench.core.digest import stable_seed
from epa_bench.core.files import read_records, write_records
from epa_bench.core.records import EvaluationPrompt, GeneratedResponse, Prompt
from epa_bench.engines.protocol import Answer, Decoding, Engine, Request
from epa_bench.engines.scripted import read_script
from epa_bench.engines.transformers import TransformersEngine
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_checkpoint


def run(context: StepContext) -> None:
    """Writes `responses.jsonl` in the prompts' order; goes on after the last whole batch of a killed attempt."""
    decoding = Decoding.model_validate(context.config["decoding"])
    asked = context.records("preferences", "prompts.jsonl", EvaluationPrompt)
    prompts = [(row.prompt_id, row.prompt) for row in asked][: context.config["limit"]]
    requests = [Request(prompt, stable_seed("answer", decoding.seed, prompt_id)) for prompt_id, prompt in prompts]
    answers: dict[int, GeneratedResponse] = {}
    engine = _engine(context)
    parts = context.folder / "parts"
    for number, batch in enumerate(engine.plan(requests)):
        part = parts / f"{number:05d}.jsonl"
        if not part.exists():
            write_records(part, _rows(prompts, batch, engine.answer([requests[i] for i in batch], decoding)))
        answers |= dict(zip(batch, read_records(part, GeneratedResponse), strict=True))
        context.report(len(answers), len(requests))
    engine.close()
    write_records(context.folder / "responses.jsonl", [answers[i] for i in range(len(requests))])
    _remove(parts)


def _engine(context: StepContext) -> Engine:
    script = context.hints.get("script")
    if script is not None:
        return read_script(Path(script))
    opened = open_checkpoint(context, context.checkpoint_folder())
    return TransformersEngine(opened.model, opened.tokenizer, opened.renderer, context.config["batch_size"])


def _rows(
    prompts: Sequence[tuple[str, Prompt]], batch: Sequence[int], answers: Sequence[Answer]
) -> list[GeneratedResponse]:
    return [
        GeneratedResponse(
            prompt_id=prompts[i][0], prompt=prompts[i][1], text=answer.text, tokens=answer.tokens, finish=answer.finish
        )
        for i, answer in zip(batch, answers, strict=True)
    ]


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
