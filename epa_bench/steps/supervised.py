"""The rows of the supervised stage, what aligned models say of them, and which of them are trained on."""

from collections.abc import Sequence

from epa_bench.config.schema import EmbeddedData
from epa_bench.config.supervised import SupervisedStage
from epa_bench.data.embedded.corpus import sft_corpus
from epa_bench.data.embedded.families import make_prompts
from epa_bench.data.embedded.noise import swap_outputs
from epa_bench.data.supervised import AlignedScore, SupervisedRow, best_rows, join_scores, shuffled_scores
from epa_bench.steps.context import ALIGNED, StepContext

SCORES = "scores.jsonl"
"""An `AlignedScore` a row."""

ROWS = "rows.jsonl"
"""A `SupervisedRow` a row."""


def supervised_rows(context: StepContext) -> list[SupervisedRow]:
    """The user's supervised rows, the chosen responses of the training file, or the embedded task's corpus."""
    if "supervised" in context.inputs:
        return context.records("supervised", ROWS, SupervisedRow)
    if "preferences" in context.inputs:
        return [
            SupervisedRow(prompt=row.prompt, response=row.chosen.text, source=row.source)
            for row in context.preferences("train")
        ]
    task = EmbeddedData.model_validate(context.config["task"])
    prompts = make_prompts(task.sft_prompts, task.seed, "sft")
    corpus = sft_corpus(prompts, task.seed, correct=task.correct, off_topic=task.off_topic)
    return [
        SupervisedRow(prompt=prompt, response=text, source=f"embedded task, prompt {prompt!r}")
        for prompt, text in swap_outputs(corpus, task.swapped, task.seed)
    ]


def chosen_rows(
    context: StepContext, settings: SupervisedStage, rows: Sequence[SupervisedRow]
) -> tuple[Sequence[SupervisedRow], Sequence[Sequence[float]]]:
    """The rows to train on, and of each the mean log-prob a token under every aligned model, models by name; of none
    where the settings do without.

    Raises DataError where an aligned model has no score of a row.
    """
    if not settings.needs_scores:
        return rows, [()] * len(rows)
    scores: Sequence[Sequence[float]] = _aligned_scores(context, rows)
    if settings.poft.scores == "shuffled":
        scores = shuffled_scores(rows, scores, settings.seed)
    best = best_rows(rows, scores, settings.keep)
    return [rows[i] for i in best], [scores[i] for i in best]


def _aligned_scores(context: StepContext, rows: Sequence[SupervisedRow]) -> list[tuple[float, ...]]:
    names = sorted(name for name in context.inputs if name.startswith(ALIGNED))
    of_models = [join_scores(rows, context.records(name, SCORES, AlignedScore), name) for name in names]
    return [tuple(score.mean for score in of_row) for of_row in zip(*of_models, strict=True)]
