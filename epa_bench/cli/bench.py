"""Measurements of this package against others."""

import json
from pathlib import Path
from typing import Annotated

import typer

from epa_bench.cli.options import JsonPath, PerformanceFile
from epa_bench.cli.output import say, show, show_rows

bench = typer.Typer(help="Measure this package against others, on this machine.", no_args_is_help=True)


@bench.command("train")
def bench_train(
    quick: Annotated[bool, typer.Option("--quick", help="A case of each kind, no tables of growth: minutes.")] = False,
    out: PerformanceFile = Path("leaderboards/performance.md"),
    json_path: JsonPath = None,
) -> None:
    """Time training steps: ours, TRL's where it is installed, and the obvious implementation's, in one run."""
    from epa_bench.bench.render import to_terminal
    from epa_bench.bench.train import benchmark_training

    rows = benchmark_training("quick" if quick else "full", out, say)
    text = json.dumps([row.model_dump(mode="json") for row in rows], indent=2, ensure_ascii=False, allow_nan=False)
    show(lambda console: console.print(to_terminal(rows)), text + "\n", json_path)
    say(f"Tables: {out}")


@bench.command("judge")
def bench_judge(
    calls: Annotated[int, typer.Option("--calls", min=10, help="Verdicts of ours a round.")] = 2000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Times every side is measured.")] = 3,
    out: PerformanceFile = Path("leaderboards/performance.md"),
    json_path: JsonPath = None,
) -> None:
    """Verdicts a second against a judge that takes no time: ours, and alpaca_eval's own client."""
    from epa_bench.bench.judge import benchmark_judges

    show_rows([row.model_dump(mode="json") for row in benchmark_judges(calls, rounds, out, say)], json_path)
    say(f"Table: {out}")


@bench.command("engine")
def bench_engine(
    quick: Annotated[bool, typer.Option("--quick", help="One round, two restarts: minutes.")] = False,
    out: PerformanceFile = Path("leaderboards/performance.md"),
    json_path: JsonPath = None,
) -> None:
    """Time vLLM beside transformers: start-up, answers, scoring, the next checkpoint; and whether they agree."""
    from epa_bench.bench.engine import benchmark_engines
    from epa_bench.bench.engine_render import to_terminal

    report = benchmark_engines(quick, out, say)
    show(lambda console: console.print(to_terminal(report)), report.model_dump_json(indent=2) + "\n", json_path)
    say(f"Tables: {out}")


@bench.command("sweep")
def bench_sweep(
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Times everything is measured.")] = 5,
    out: PerformanceFile = Path("leaderboards/performance.md"),
    json_path: JsonPath = None,
) -> None:
    """Time what a sweep costs besides its cells: a cached run, a large plan, a large store, the executor."""
    from epa_bench.bench.sweep import benchmark_sweeps

    show_rows([row.model_dump(mode="json") for row in benchmark_sweeps(rounds, out, say)], json_path)
    say(f"Table: {out}")


@bench.command("report")
def bench_report(
    examples: Annotated[int, typer.Option("--examples", min=10, help="Prompts with two answers each.")] = 20000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Times the page is opened.")] = 5,
    out: PerformanceFile = Path("leaderboards/performance.md"),
    json_path: JsonPath = None,
) -> None:
    """Time a page of many examples in headless Chromium: made, painted, searched, filtered, sorted."""
    from epa_bench.bench.report import benchmark_report

    show_rows([row.model_dump(mode="json") for row in benchmark_report(examples, rounds, out, say)], json_path)


@bench.command("table")
def bench_table(
    runs: Annotated[int, typer.Option("--runs", min=2, help="Runs on one leaderboard.")] = 1000,
    prompts: Annotated[int, typer.Option("--prompts", min=2, help="Prompts of each.")] = 805,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Times each way of reading is measured.")] = 3,
    out: PerformanceFile = Path("leaderboards/performance.md"),
    json_path: JsonPath = None,
) -> None:
    """Write a leaderboard of many runs again from its rows: seconds, peak memory, whether the bytes are the same."""
    from epa_bench.bench.table import benchmark_tables

    rows = benchmark_tables(runs, prompts, rounds, out, say)
    show_rows([row.model_dump(mode="json") for row in rows], json_path)
    say(f"Table: {out}")


@bench.command("executors")
def bench_executors(
    cells: Annotated[int, typer.Option("--cells", min=2, help="Cells of a round.")] = 20,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Cells side by side.")] = 2,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Times every executor is measured.")] = 3,
    out: PerformanceFile = Path("leaderboards/performance.md"),
    json_path: JsonPath = None,
) -> None:
    """Time what each executor adds to a cell: workers of this machine, a process a cell, Ray, submitit."""
    from epa_bench.bench.executors import benchmark_executors

    rows = benchmark_executors(cells, workers, rounds, out, say)
    show_rows([row.model_dump(mode="json") for row in rows], json_path)
    say(f"Table: {out}")


@bench.command("acquire")
def bench_acquire(
    rows: Annotated[int, typer.Option("--rows", min=1, help="Of the pool.")] = 50_000,
    budget: Annotated[int, typer.Option("--budget", min=1, help="Rows to choose.")] = 100,
    out: PerformanceFile = Path("leaderboards/performance.md"),
    json_path: JsonPath = None,
) -> None:
    """Seconds and memory of choosing rows to label from a large pool of texts, by a small encoder."""
    from epa_bench.bench.acquire import benchmark_acquisition

    found = benchmark_acquisition(rows, budget, out, say)
    show_rows([row.model_dump(mode="json") for row in found], json_path)
    say(f"Table: {out}")
