"""`bench engine` on a model of no size: every part is measured, and what is written is what was."""

from epa_bench.bench.engine import measure_engines
from epa_bench.bench.engine_render import to_markdown, to_terminal
from epa_bench.bench.engine_rows import FULL, EngineReport, EngineRow
from epa_bench.bench.machine import this_machine
from epa_bench.execution.device import Device
from tests.tiny import SHAPE

WORK = FULL.model_copy(
    update={
        "model": SHAPE.model_copy(update={"vocab_size": 512, "max_position_embeddings": 320}),
        "prompts": 6,
        "wide": 8,
    }
).model_copy(update={"new_tokens": 8, "rounds": 2, "swaps": 3, "restarts": 1})


def row(what: str, sides: tuple[str, str]) -> EngineRow:
    return EngineRow(
        what=what,
        unit="s a checkpoint" if sides[0] == "restart" else "tokens/s",
        sides=sides,
        other=1234.5,
        vllm=2.5,
        ratio=3.25,
        ratio_low=3.0,
        ratio_high=4.0,
        count=2,
    )


def test_every_part_is_measured(vllm_device: Device) -> None:
    report = measure_engines(WORK, vllm_device)
    assert [(line.sides[0], line.count) for line in report.rows] == [
        ("transformers", 1),
        *[("transformers", 2)] * 4,
        ("restart", 1),
        *[("merged", 2)] * 2,
    ]
    assert all(line.other > 0 and line.vllm > 0 for line in report.rows)
    assert all(line.ratio_low <= line.ratio <= line.ratio_high for line in report.rows)
    assert (report.equal, report.compared) == (6, 6)
    assert report.logps_apart < 1e-4


def test_tables_say_what_was_measured() -> None:
    report = EngineReport(
        rows=(
            row("scores", ("transformers", "vLLM")),
            row("another checkpoint", ("restart", "swap")),
            row("its greedy answers", ("merged", "attached")),
        ),
        work=WORK,
        parameters=12_345_678,
        equal=5,
        compared=6,
        logps_apart=1.23456e-5,
    )
    text = to_markdown(report, this_machine("cpu"))
    assert "| scores | tokens/s | 1,234 | 2 | 3.25 (3.00, 4.00) | 2 |" in text
    assert "| another checkpoint | s a checkpoint | 1.23e+03 | 2.5 | 3.25 (3.00, 4.00) | 2 |" in text
    assert "| what | unit | merged | attached |" in text
    assert "| its greedy answers | tokens/s | 1,234 | 2 | 3.25 (3.00, 4.00) | 2 |" in text
    assert "5 of 6 are the same" in text
    assert "at most 1.2e-05 nats" in text
    assert "12.3M random weights" in text
    assert "3 checkpoints were swapped through" in text
    assert to_terminal(report).renderables
