"""The rows of the supervised stage, and what aligned models say of them."""

from collections.abc import Sequence

from epa_bench.config.schema import EmbeddedData
from epa_bench.data.embedded.corpus import sft_corpus
from epa_bench.data.embedded.families import make_prompts
from epa_bench.data.embedded.noise import swap_outputs
from epa_bench.data.supervised import AlignedScore, SupervisedRow, join_scores
from epa_bench.steps.context import ALIGNED, StepContext

SCORES = "scores.jsonl"
"""An `AlignedScore` a row."""


def supervised_rows(context: StepContext) -> list[SupervisedRow]:
    """The embedded task's corpus, or the chosen responses of the training file."""
    if "preferences" in context.inputs:
        return [SupervisedRow(row.prompt, row.chosen.text, row.source) for row in context.preferences("train")]
    task = EmbeddedData.model_validate(context.config["task"])
    prompts = make_prompts(task.sft_prompts, task.seed, "sft")
    corpus = sft_corpus(prompts, task.seed, correct=task.correct, off_topic=task.off_topic)
    swapped = swap_outputs(corpus, task.swapped, task.seed)
    return [SupervisedRow(prompt, text, f"embedded task, prompt {prompt!r}") for prompt, text in swapped]


def aligned_scores(context: StepContext, rows: Sequence[SupervisedRow]) -> list[tuple[float, ...]]:
    """For each row its mean log-prob a token under every aligned model, models by name. Raises DataError."""
    names = sorted(name for name in context.inputs if name.startswith(ALIGNED))
    of_models = [join_scores(rows, context.records(name, SCORES, AlignedScore), name) for name in names]
    return [tuple(score.mean for score in of_row) for of_row in zip(*of_models, strict=True)]
