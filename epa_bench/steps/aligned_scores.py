"""What an aligned model says of every supervised row: one cell a model and corpus, whatever is trained on it."""

from collections.abc import Sequence

from epa_bench.core.errors import DataError, Problem, list_problems
from epa_bench.core.files import write_json, write_records
from epa_bench.data.chat import EncodedResponse, Renderer
from epa_bench.data.supervised import AlignedScore, SupervisedRow
from epa_bench.models.scoring import score_sequences, sequence_key
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_checkpoint
from epa_bench.steps.supervised import SCORES, supervised_rows


def run(context: StepContext) -> None:
    """Writes `scores.jsonl`, a row a supervised row, and `summary.json`.

    In the model's own template and tokens. Raises CheckpointError for a model without a chat template, DataError that
    lists the rows it cannot render.
    """
    rows = supervised_rows(context)
    opened = open_checkpoint(context, context.reference_folder())
    sequences = _encode(opened.renderer, rows)
    found = score_sequences(opened.model, sequences, batch_tokens=context.config["batch_tokens"], report=context.report)
    by_key = {score.key: score for score in found}
    scored = [by_key[sequence_key(sequence)] for sequence in sequences]
    # Rounding can lift the log-prob of a certain token above 0.
    scores = [
        AlignedScore(prompt=row.prompt, response=row.response, logp=min(score.logp, 0.0), tokens=score.tokens)
        for row, score in zip(rows, scored, strict=True)
    ]
    write_records(context.folder / SCORES, scores)
    truncated = sum(sequence.truncated for sequence in sequences)
    write_json(context.folder / "summary.json", {"rows": len(rows), "distinct": len(found), "truncated": truncated})


def _encode(renderer: Renderer, rows: Sequence[SupervisedRow]) -> list[EncodedResponse]:
    sequences, problems = [], []
    for row in rows:
        try:
            sequences.append(renderer.encode(row.prompt, row.response))
        except DataError as error:
            problems.append(Problem(row.source, str(error)))
    if problems:
        raise DataError(list_problems(problems, "the supervised rows, for an aligned model"))
    return sequences
