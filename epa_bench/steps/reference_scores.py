"""Log-probabilities under the reference of everything the sweep will compare with it, each pair once."""

from collections.abc import Iterator

from epa_bench.core.files import write_json
from epa_bench.core.records import Group
from epa_bench.data.chat import EncodedResponse
from epa_bench.models.logprobs import score_sequences, sequence_key
from epa_bench.models.reference_cache import ReferenceCache
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import Opened, open_checkpoint
from epa_bench.training.batches import encoder_of


def run(context: StepContext) -> None:
    """Adds what is missing to the reference's cache; writes `summary.json` with how many pairs were scored."""
    opened = open_checkpoint(context, context.reference_folder())
    cache = ReferenceCache(context.store_root / "reference_logps" / context.config["cache"])
    known = cache.load()
    wanted = {sequence_key(sequence): sequence for sequence in _sequences(context, opened)}
    missing = [sequence for key, sequence in wanted.items() if key not in known]
    if missing:
        cache.add(
            score_sequences(
                opened.model,
                missing,
                pad_id=opened.pad_id,
                batch_size=context.config["batch_size"],
                autocast=context.config["autocast"],
                report=context.report,
            )
        )
    write_json(context.folder / "summary.json", {"pairs": len(wanted), "scored": len(missing)})


def _sequences(context: StepContext, opened: Opened) -> Iterator[EncodedResponse]:
    encode = encoder_of(context.preferences("train"), opened.renderer.encode)
    for name in sorted(context.inputs):
        if name.startswith("plan"):
            for group in context.records(name, "plan.jsonl", Group):
                for candidate in group.candidates:
                    if candidate.masked is None:
                        yield encode(group.example, candidate.example, candidate.response)
