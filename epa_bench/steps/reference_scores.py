"""Log-probabilities under the reference, each pair once: shared by methods, betas and seeds.

Two kinds of cells, each a pure function of its inputs. One scores every response under its own prompt and serves all
plans. One a plan scores that plan's weak negatives, responses under prompts of others. What stands in the store already
never changes which sequences share a batch, so scores are the same to the last bit whatever was run before.
"""

from collections.abc import Iterator

from torch import nn

from epa_bench.core.files import write_json, write_records
from epa_bench.core.records import Group
from epa_bench.data.chat import EncodedResponse
from epa_bench.models.scoring import score_sequences
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import Opened, open_checkpoint, open_reference_adapter
from epa_bench.training.batches import encoder_of


def run(context: StepContext) -> None:
    """Writes `scores.jsonl`, a row a distinct pair, and `summary.json` with their number."""
    opened = _open(context)
    scores = score_sequences(
        opened.model,
        list(_weak(context, opened) if "plan" in context.inputs else _own(context, opened)),
        batch_tokens=context.config["batch_tokens"],
        autocast=context.config["autocast"],
        report=context.report,
    )
    write_records(context.folder / "scores.jsonl", scores)
    write_json(context.folder / "summary.json", {"pairs": len(scores)})


def _open(context: StepContext) -> Opened[nn.Module]:
    """As training will run it, where rounding in half precision would tell a merged adapter from its copy."""
    if context.config.get("beside_base"):
        return open_reference_adapter(context)
    return open_checkpoint(context, context.reference_folder())


def _own(context: StepContext, opened: Opened[nn.Module]) -> Iterator[EncodedResponse]:
    for preference in context.preferences("train"):
        for response in preference.responses:
            yield opened.renderer.encode(preference.prompt, response.text)


def _weak(context: StepContext, opened: Opened[nn.Module]) -> Iterator[EncodedResponse]:
    encode = encoder_of(context.preferences("train"), opened.renderer.encode)
    for group in context.records("plan", "plan.jsonl", Group):
        for candidate in group.candidates:
            if candidate.role == "weak" and candidate.masked is None:
                yield encode(group.example, candidate.example, candidate.response)
