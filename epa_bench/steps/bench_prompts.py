"""A benchmark's prompts and answers as one score pass takes them; what does not fit the context is counted."""

from collections.abc import Iterator
from pathlib import Path

from epa_bench.core.errors import DataError
from epa_bench.core.files import write_records
from epa_bench.data.chat import Renderer
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_renderer
from epa_bench.suites.bench_prompts import BenchPrompt, read_prompts, read_reward_bench_2
from epa_bench.suites.probes import ProbeItem


def run(context: StepContext) -> None:
    """Writes `prompts.jsonl`, every prompt, and `probes.jsonl`, the answers of those without an error, in order.

    Raises DataError for a damaged source, or where no prompt fits.
    """
    renderer = open_renderer(context, context.reference_folder())
    prompts = [_checked(renderer, prompt) for prompt in _read(context)][: context.config["limit"]]
    if all(prompt.error is not None for prompt in prompts):
        raise DataError(f"no prompt of the benchmark can be scored: {prompts[0].error}; raise data.max_length")
    write_records(context.folder / "prompts.jsonl", prompts)
    write_records(context.folder / "probes.jsonl", list(_items(prompts)))


def _read(context: StepContext) -> Iterator[BenchPrompt]:
    if context.config["kind"] == "reward_bench_2":
        yield from read_reward_bench_2(Path(context.hints["data"]))
        return
    yield from read_prompts({role: context.inputs["texts"].file(role) for role in context.config["roles"]})


def _checked(renderer: Renderer, prompt: BenchPrompt) -> BenchPrompt:
    """With an error where the prompt or an answer does not fit: a cut answer is another one."""
    try:
        encoded = [renderer.encode(prompt.prompt, response) for response in prompt.responses]
    except DataError as error:
        return prompt.model_copy(update={"error": f"cannot be encoded: {error}"})
    if any(sequence.truncated for sequence in encoded):
        return prompt.model_copy(update={"error": "an answer is longer than data.max_length leaves room for"})
    return prompt


def _items(prompts: list[BenchPrompt]) -> Iterator[ProbeItem]:
    for row, prompt in enumerate(prompts):
        for own, text in enumerate(prompt.responses if prompt.error is None else ()):
            yield ProbeItem(prompt=prompt.prompt, prompt_id=prompt.prompt_id, row=row, own=own, text=text)
