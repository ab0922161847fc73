"""`epa-bench bench engine`: transformers and vLLM on the same checkpoint and prompts, in one run. No torch here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import get_args

from epa_bench.bench.document import put_section
from epa_bench.bench.engine_render import to_markdown
from epa_bench.bench.engine_rows import FULL, QUICK, EngineReport, EngineRow, EngineWork, Measured, Part, Rates
from epa_bench.bench.machine import this_machine
from epa_bench.core.errors import WorkerError
from epa_bench.core.lines import LineProcess, ProcessDiedError
from epa_bench.engines.kinds import choose_engine
from epa_bench.execution.device import Device, resolve_device

_OURS = {"transformers": "vLLM", "restart": "swap", "merged": "attached"}
"""What each side is compared with."""

_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


def benchmark_engines(quick: bool, out: Path, report: Callable[[str], None]) -> EngineReport:
    """Measures on this machine and writes the section of `out`. `report` is given a line a part.

    Raises ConfigError where vLLM cannot run here, WorkerError where a measuring process dies, DataError and StoreError
    as `put_section`.
    """
    device = resolve_device("auto")
    choose_engine("vllm", device)
    measured = measure_engines(QUICK if quick else FULL, device, report)
    put_section(out, "engine", to_markdown(measured, this_machine(device)))
    return measured


def measure_engines(
    work: EngineWork, device: Device, report: Callable[[str], None] = lambda line: None
) -> EngineReport:
    """Raises WorkerError where the measuring process dies."""
    parts: tuple[Part, ...] = get_args(Part)
    process = LineProcess("epa_bench.bench.engine_side", work.model_dump_json(), device, environment=_ENVIRONMENT)
    found: dict[Part, Measured] = {}
    try:
        for number, part in enumerate(parts, start=1):
            report(f"[{number}/{len(parts)}] {part}")
            process.write(part)
            found[part] = Measured.model_validate_json(process.read())
    except ProcessDiedError as error:
        raise WorkerError(f"the process that measured engines died at {part}: {error}") from error
    finally:
        process.close()
    agreement = found["agreement"]
    return EngineReport(
        rows=tuple(_rows(found)),
        work=work,
        parameters=found["start"].parameters,
        equal=agreement.equal,
        compared=agreement.compared,
        logps_apart=agreement.logps_apart,
    )


def _rows(found: dict[Part, Measured]) -> list[EngineRow]:
    seconds = found["start"].seconds
    assert seconds is not None
    rows = [_row("start-up", "s", seconds.vllm, seconds.transformers, "transformers", less_is_better=True)]
    for part, what in (
        ("full answers", "greedy answers, all of the same length"),
        ("wide answers", "the same, more side by side"),
        ("uneven answers", "sampled answers that end sooner or later"),
        ("scores", "log-probs of given tokens"),
    ):
        rates: Rates | None = found[part].tokens_per_second  # type: ignore[index]
        assert rates is not None
        rows.append(_row(what, "tokens/s", rates.vllm, rates.transformers, "transformers", less_is_better=False))
    swaps, restarts = found["swaps"].loads, found["restarts"].loads
    paired = swaps[: len(restarts)]
    rows.append(_row("another checkpoint", "s a checkpoint", paired, restarts, "restart", less_is_better=True))
    attached, merged = found["adapters"].attached, found["adapters"].merged
    assert attached is not None
    assert merged is not None
    rows.append(_row("another adapter", "s a checkpoint", attached.loads, merged.loads, "merged", less_is_better=True))
    rates_of = attached.tokens_per_second, merged.tokens_per_second
    rows.append(_row("its greedy answers", "tokens/s", *rates_of, "merged", less_is_better=False))
    return rows


def _row(
    what: str, unit: str, ours: Sequence[float], other: Sequence[float], side: str, *, less_is_better: bool
) -> EngineRow:
    pairs = zip(ours, other, strict=True)
    ratios = [b / a if less_is_better else a / b for a, b in pairs]
    return EngineRow(
        what=what,
        unit=unit,  # type: ignore[arg-type]
        sides=(side, _OURS[side]),
        other=median(other),
        vllm=median(ours),
        ratio=median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        count=len(ratios),
    )
