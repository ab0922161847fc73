"""A run of `epa-bench bench engine` as tables. Every number in them is computed."""

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from epa_bench.bench.engine_rows import EngineReport, EngineRow
from epa_bench.bench.grid import Grid, bullets, table, terminal_table
from epa_bench.bench.render import measured_on
from epa_bench.bench.rows import Machine
from epa_bench.leaderboard.markdown import escape


def to_markdown(report: EngineReport, machine: Machine) -> str:
    """The section on engines."""
    parts = ["## Engines", *(f"### {escape(grid.title)}\n\n{table(grid)}" for grid in _grids(report))]
    return "\n\n".join([*parts, bullets([*_agreement(report), *_how(report, machine)])]) + "\n"


def to_terminal(report: EngineReport) -> Group:
    """The tables and the agreement."""
    return Group(*map(terminal_table, _grids(report)), *map(Text, _agreement(report)))


def _grids(report: EngineReport) -> list[Grid]:
    engines = [row for row in report.rows if row.sides[0] == "transformers"]
    swaps = [row for row in report.rows if row.sides[0] == "restart"]
    adapters = [row for row in report.rows if row.sides[0] == "merged"]
    return [
        _grid(
            "vLLM against transformers", ("transformers", "vLLM", "times better (lowest, highest)", "rounds"), engines
        ),
        _grid("Another checkpoint", ("restart", "swap", "times faster (lowest, highest)", "restarts"), swaps),
        _grid("Adapters", ("merged", "attached", "times better (lowest, highest)", "rounds"), adapters),
    ]


def _grid(title: str, columns: tuple[str, ...], rows: Sequence[EngineRow]) -> Grid:
    return Grid(title, ("what", "unit", *columns), tuple(map(_line, rows)))


def _line(row: EngineRow) -> tuple[str, ...]:
    form = ",.0f" if row.unit == "tokens/s" else ".3g"
    ratio = f"{row.ratio:.2f} ({row.ratio_low:.2f}, {row.ratio_high:.2f})"
    return (row.what, row.unit, format(row.other, form), format(row.vllm, form), ratio, str(row.count))


def _agreement(report: EngineReport) -> list[str]:
    return [
        f"Greedy answers: {report.equal} of {report.compared} are the same, token for token.",
        f"Log-probs of a token differ by at most {report.logps_apart:.2g} nats.",
    ]


def _how(report: EngineReport, machine: Machine) -> list[str]:
    work = report.work
    clock = "the processors spent, vLLM's process included" if machine.gpu is None else "passed on the clock"
    return [
        f"{measured_on(machine)} One thread a process, fp32.",
        f"A Llama of {report.parameters / 1e6:.1f}M random weights. A round is {work.prompts} prompts of 16 to 128 "
        f"tokens with answers of up to {work.new_tokens}, or {work.prompts} sequences of 64 to 256 tokens to score, "
        f"{work.places} side by side, both engines in turns; one round warms up. More side by side: {work.wide} "
        "prompts, all at once.",
        f"Seconds are those that {clock}, medians over the rounds; the ratio is the median of the rounds' ratios.",
        "transformers' engine is this package's: left-padded batches, the longest prompts first; its scores are the "
        "packed score pass. Its start-up is a fresh process that imports it and loads the checkpoint.",
        "A swap and a restart are from a checkpoint on disk to an engine that has been compared with transformers on a "
        f"probe, which reads the checkpoint once more. {work.swaps} checkpoints were swapped through.",
        "Adapters are LoRA of rank 16 on every linear layer, merged into a copy of their base on disk and swapped in, "
        "or attached to the base that vLLM holds, as engine.adapters says.",
    ]
