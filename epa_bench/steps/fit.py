"""Preference rows that fit the context: prompts are never cut, so a row whose prompt is too long is refused by name."""

from collections.abc import Sequence

from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.core.files import write_json, write_records
from epa_bench.core.records import EvaluationPrompt, Preference
from epa_bench.data.chat import Renderer
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_renderer

MIN_RESPONSE_TOKENS = 8
"""Room that a prompt must leave: a response cut to less says nothing."""


def run(context: StepContext) -> None:
    """Writes `train.jsonl`, `eval.jsonl`, `prompts.jsonl` and `summary.json`.

    Raises DataError that lists the rows that do not fit.
    """
    renderer = open_renderer(context, context.reference_folder())
    max_length = context.config["text"]["max_length"]
    summary = {}
    for split in ("train", "eval"):
        preferences = context.preferences(split)
        kept, problems = _fitting(renderer, preferences, max_length)
        if problems and context.config["invalid_rows"] == "error":
            raise DataError(
                list_problems(problems, f"the {split} data")
                + "\nRaise data.max_length, or set data.invalid_rows: drop to leave these rows out and count them."
            )
        if not kept:
            raise DataError(f"no prompt of the {split} data fits in {max_length} tokens; raise data.max_length")
        write_records(context.folder / f"{split}.jsonl", kept)
        summary[split] = {
            "rows": len(kept),
            "prompts_too_long": len(problems),
            "responses_truncated": _truncated(renderer, kept),
        }
        if split == "eval":
            distinct = {preference.prompt_id: preference.prompt for preference in kept}
            asked = [EvaluationPrompt(prompt_id=prompt_id, prompt=prompt) for prompt_id, prompt in distinct.items()]
            write_records(context.folder / "prompts.jsonl", asked)
    write_json(context.folder / "summary.json", summary)


def _fitting(
    renderer: Renderer, preferences: Sequence[Preference], max_length: int
) -> tuple[list[Preference], list[Problem]]:
    kept, problems = [], []
    for preference in preferences:
        tokens = len(renderer.prompt_ids(preference.prompt))
        if tokens + MIN_RESPONSE_TOKENS <= max_length:
            kept.append(preference)
            continue
        what = f"a prompt of {tokens} tokens leaves less than {MIN_RESPONSE_TOKENS} of {max_length} for a response"
        problems.append(Problem(preference.source, what))
    return kept, problems


def _truncated(renderer: Renderer, preferences: Sequence[Preference]) -> int:
    return sum(
        renderer.encode(preference.prompt, response.text).truncated
        for preference in preferences
        for response in preference.responses
    )
