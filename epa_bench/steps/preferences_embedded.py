"""Preference data of the embedded task: responses sampled from the reference, ranked by gold with noise."""

from collections.abc import Sequence

from epa_bench.config.schema import EmbeddedData
from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import DataError
from epa_bench.core.files import write_json, write_records
from epa_bench.core.records import EvaluationPrompt, Preference, prompt_digest
from epa_bench.data.embedded.families import Split, make_prompts
from epa_bench.data.embedded.noise import swap_preferences
from epa_bench.data.embedded.preferences import rank_responses
from epa_bench.engines.protocol import Decoding, Request
from epa_bench.engines.transformers import TransformersEngine
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_checkpoint


def run(context: StepContext) -> None:
    """Writes `train.jsonl`, `eval.jsonl`, `prompts.jsonl` and `summary.json`."""
    task = EmbeddedData.model_validate(context.config["task"])
    opened = open_checkpoint(context, context.reference_folder())
    engine = TransformersEngine(opened.model, opened.tokenizer, opened.renderer, context.config["batch_size"])
    decoding = Decoding(temperature=1.0, max_new_tokens=task.max_new_tokens, seed=task.seed)
    summary: dict[str, dict[str, int]] = {}
    splits: list[tuple[str, Split, int]] = [
        ("train", "preference", task.train_prompts),
        ("eval", "evaluation", task.eval_prompts),
    ]
    total = sum(count for _, _, count in splits) * task.responses
    done = 0
    for name, split, count in splits:
        prompts = [prompt.text for prompt in make_prompts(count, task.seed, split)]
        requests = [
            Request(prompt, stable_seed("sample", task.seed, prompt, i))
            for prompt in prompts
            for i in range(task.responses)
        ]
        texts = [""] * len(requests)
        for batch in engine.plan(requests):
            for index, answer in zip(batch, engine.answer([requests[i] for i in batch], decoding), strict=True):
                texts[index] = answer.text
            done += len(batch)
            context.report(done, total)
        preferences = _ranked(prompts, texts, task)
        if name == "train":
            preferences = swap_preferences(preferences, task.swapped_preferences, task.seed)
        summary[name] = {"rows": len(preferences), "prompts_with_one_distinct_response": count - len(preferences)}
        write_records(context.folder / f"{name}.jsonl", preferences)
        if name == "eval":
            # Every held-out prompt, also one whose samples were all the same and make no preference.
            asked = [EvaluationPrompt(prompt_id=prompt_digest(prompt), prompt=prompt) for prompt in prompts]
            write_records(context.folder / "prompts.jsonl", asked)
    write_json(context.folder / "summary.json", summary)


def _ranked(prompts: Sequence[str], texts: Sequence[str], task: EmbeddedData) -> list[Preference]:
    size = task.responses
    ranked = [rank_responses(prompt, texts[size * i : size * (i + 1)], task.seed) for i, prompt in enumerate(prompts)]
    kept = [preference for preference in ranked if preference is not None]
    if not kept:
        raise DataError("the reference gave only one distinct response to every prompt; train it less, or sample more")
    return kept
