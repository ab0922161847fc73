"""What a sweep would do, for people."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.tree import Tree

from epa_bench.cli.options import JsonPath, Overrides, SuiteFolders, SweepFile
from epa_bench.cli.output import grid, show
from epa_bench.cli.sweeps import open_sweep

if TYPE_CHECKING:
    from epa_bench.pipeline.forecast import Forecast

_GIB = 2**30


def plan(
    sweep: SweepFile,
    overrides: Overrides = [],
    suites: SuiteFolders = [],
    memory: Annotated[
        float | None,
        typer.Option("--memory", metavar="GIB", min=0.1, help="Of the device that will train; by default this one's."),
    ] = None,
    every: Annotated[bool, typer.Option("--cells", help="Name every owed cell.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Say what a sweep would do before anything is spent: cells, memory, disk, judge calls and dollars.

    Ends with an error where it is certain that the sweep cannot be done.
    """
    from epa_bench.pipeline.forecast import check_possible, forecast

    found = forecast(open_sweep(sweep, overrides, suites), None if memory is None else int(memory * _GIB))

    def people(console: Console) -> None:
        console.print(_tree(found, every))
        _print_trainings(console, found)
        _print_tokens(console, found)
        if found.judging:
            console.print(grid(list(found.judging)))
        _print_disk(console, found)

    show(people, found.model_dump_json(indent=2) + "\n", json_path)
    check_possible(found)


def _tree(found: "Forecast", every: bool) -> Tree:
    cached = sum(cell.state == "cached" for cell in found.cells)
    tree = Tree(f"{found.sweep}: {len(found.cells)} cells, {cached} cached, {len(found.cells) - cached} owed")
    for part in dict.fromkeys(cell.part for cell in found.cells):
        branch = tree.add(part)
        of_part = [cell for cell in found.cells if cell.part == part]
        for step in dict.fromkeys(cell.step for cell in of_part):
            cells = [cell for cell in of_part if cell.step == step]
            counts = Counter(cell.state for cell in cells)
            leaf = branch.add(f"{step}: " + ", ".join(f"{number} {state}" for state, number in sorted(counts.items())))
            for cell in cells if every else ():
                if cell.state == "owed":
                    leaf.add(cell.label)
    return tree


def _print_trainings(console: Console, found: "Forecast") -> None:
    trainings = [*([found.supervised] if found.supervised else []), *found.trainings]
    rows = [
        {
            "arm": training.arm,
            "trained / parameters": f"{training.trainable:,} / {training.parameters:,}",
            "weights, gradients, optimizer": _gib(training.certain),
            "with activations, at most": _gib(training.at_most),
            "there is": _gib(training.available),
            "verdict": training.verdict,
        }
        for training in trainings
    ]
    console.print(f"Memory of a training on {found.device}, GiB ({found.workers} at a time)")
    console.print(grid(rows))
    console.print(
        "Activations are those of a step whose responses are all as long as data.max_length; data seldom reaches it. "
        "The reference is scored in cells of its own and is not held beside.",
        soft_wrap=True,
    )
    for advice in dict.fromkeys(advice for training in trainings for advice in training.advice):
        console.print(f"  less with {advice}", soft_wrap=True)


def _print_tokens(console: Console, found: "Forecast") -> None:
    if found.tokens:
        rows = [
            {
                "tokens, at most": row.part,
                "owed cells": row.cells,
                "sequences": _count(row.sequences),
                "tokens": _count(row.tokens),
            }
            for row in found.tokens
        ]
        console.print(grid(rows))


def _count(number: int | None) -> str:
    return "not known before the data are read" if number is None else f"{number:,}"


def _print_disk(console: Console, found: "Forecast") -> None:
    disk = found.disk
    console.print(
        f"Disk: owed checkpoints {_gib(disk.checkpoints)} GiB, while training {_gib(disk.resumable)} GiB more, free "
        f"{_gib(disk.free)} GiB",
        soft_wrap=True,
    )


def _gib(size: int | None) -> str:
    return "not known" if size is None else f"{size / _GIB:.2f}"
