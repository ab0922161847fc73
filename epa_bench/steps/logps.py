"""The score pass of one checkpoint over the probe set."""

from epa_bench.core.files import write_records
from epa_bench.models.scoring import score_sequences, sequence_key
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_checkpoint
from epa_bench.suites.probes import ProbeItem


def run(context: StepContext) -> None:
    """Writes `logps.jsonl`, one row a probe, in the probes' order."""
    opened = open_checkpoint(context, context.checkpoint_folder())
    items = context.records("probes", "probes.jsonl", ProbeItem)
    sequences = [opened.renderer.encode(item.prompt, item.text) for item in items]
    scores = score_sequences(
        opened.model,
        sequences,
        batch_tokens=context.config["batch_tokens"],
        report=context.report,
    )
    by_key = {score.key: score for score in scores}
    write_records(context.folder / "logps.jsonl", [by_key[sequence_key(sequence)] for sequence in sequences])
