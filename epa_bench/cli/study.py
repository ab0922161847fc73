"""Verbs about what is known exactly."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from epa_bench.cli.options import JsonPath, LeaderboardsFolder
from epa_bench.cli.output import say, show, show_rows

study = typer.Typer(help="Experiments whose right answer is known.", no_args_is_help=True)


@study.command()
def tabular(
    n_seeds: Annotated[int, typer.Option("--seeds", min=5, help="Worlds to draw; intervals are over them.")] = 10,
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    json_path: JsonPath = None,
) -> None:
    """Train tables of logits by DPO, EPA and controls where the optimum is known, and write the study's table."""
    from epa_bench.studies.tabular import run_tabular_study
    from epa_bench.studies.tabular_table import study_json, study_markdown, write_study

    found = run_tabular_study(range(1, n_seeds + 1), say=say)
    write_study(found, leaderboards)
    show(lambda console: console.print(study_markdown(found), soft_wrap=True), study_json(found), json_path)


@study.command()
def comparisons(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Preference data, as a sweep's data.train names it.")],
    weak: Annotated[list[int], typer.Option(min=0, help="Weak negatives of a pair; may be repeated.")] = [0, 2, 6],
    epochs: Annotated[int, typer.Option(min=1, help="Weak negatives are drawn anew in each.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 0,
    json_path: JsonPath = None,
) -> None:
    """Count what preference data leaves open: flat directions of the likelihood, with and without weak negatives."""
    from epa_bench.data.preferences import read_preferences
    from epa_bench.data.sources import read_rows
    from epa_bench.studies.flat_directions import compare

    read = read_preferences(read_rows(data), invalid_rows="drop")
    if read.dropped:
        say(f"rows left out: {dict(read.dropped)}")
    rows = compare(read.preferences, weak, epochs=epochs, data_seed=seed)
    show_rows([row.model_dump(mode="json") for row in rows], json_path)


@study.command()
def ches(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Preference data, as a sweep's data.train names it.")],
    model: Annotated[Path, typer.Option(metavar="DIR", help="The checkpoint that training will start from.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="Where the kept rows go, as JSON lines.")],
    share: Annotated[float, typer.Option("--keep", help="Share of the rows kept: the lowest scores.")] = 0.95,
    plain: Annotated[bool, typer.Option("--plain", help="Concatenate prompt and response; no chat template.")] = False,
    max_length: Annotated[int, typer.Option(min=2, help="Tokens of prompt and response, as data.max_length.")] = 1024,
    json_path: JsonPath = None,
) -> None:
    """Leave out of preference data the pairs likely to push the chosen response down (CHES), before training."""
    from epa_bench.execution.device import resolve_device
    from epa_bench.studies.ches_filter import filter_by_ches

    counts = filter_by_ches(
        data,
        model,
        to,
        share=share,
        template="plain" if plain else "chat",
        max_length=max_length,
        device=resolve_device("auto"),
        say=say,
    )
    show_rows([counts], json_path)


@study.command("label-curve")
def label_curve(
    task: Annotated[Literal["text", "pairs"], typer.Argument(metavar="TASK", help="`text` or `pairs`.")],
    n_seeds: Annotated[int, typer.Option("--seeds", min=3, help="Runs from different first rows.")] = 7,
    cold_start: Annotated[int, typer.Option(min=1, help="Labels drawn at random to start with.")] = 40,
    per_round: Annotated[int, typer.Option(min=1, help="Labels bought in a round.")] = 40,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds after the first labels.")] = 4,
    pool: Annotated[
        Path | None, typer.Option(metavar="FILE", help="text: TSV or JSON lines of text and label.")
    ] = None,
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="text: held-out rows of the same kind.")] = None,
    encoder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="text: a pretrained encoder to start from.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the table; by default label_curve_TASK.")] = None,
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    json_path: JsonPath = None,
) -> None:
    """What labels are worth by how the rows to label were chosen, against random choice; and the study's table.

    `pairs`: DPO and EPA on preference pairs of the embedded task. `text`: a classifier, on a generated task or files.
    """
    from epa_bench.execution.device import resolve_device
    from epa_bench.studies.label_curve import CurveSettings
    from epa_bench.studies.label_curve_run import study_label_curve
    from epa_bench.studies.label_curve_table import curve_json, curve_markdown, write_curve

    settings = CurveSettings(
        seeds=tuple(range(1, n_seeds + 1)), cold_start=cold_start, per_round=per_round, rounds=rounds
    )
    found = study_label_curve(
        task, settings, pool=pool, test=test, encoder=encoder, device=resolve_device("auto"), say=say
    )
    write_curve(found, leaderboards / (name or f"label_curve_{task}"))
    show(lambda console: console.print(curve_markdown(found), soft_wrap=True), curve_json(found), json_path)
