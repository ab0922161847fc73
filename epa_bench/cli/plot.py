"""Verbs that draw."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from epa_bench.cli.options import (
    BaselineMethod,
    JsonPath,
    KlMetric,
    LeaderboardHistory,
    LeaderboardsFolder,
    OnlyArm,
    OnlyMetric,
    OnlySuite,
    RewardMetric,
    RunFolder,
)
from epa_bench.cli.output import show_rows

plot = typer.Typer(help="Draw what a finished run found, as SVG and PNG.", no_args_is_help=True)

OnlyFormat = Annotated[Literal["svg", "png"] | None, typer.Option("--format", help="Only this one; by default both.")]


@plot.callback()
def plots() -> None:
    """Draw what a finished run found, as SVG and PNG."""


@plot.command()
def linearity(
    run_folder: RunFolder,
    arms: Annotated[list[str], typer.Option("--arm", metavar="ARM", help="Only these arms, in this order.")] = [],
    seeds: Annotated[list[int], typer.Option("--seed", metavar="SEED", help="Only these seeds.")] = [],
    form: OnlyFormat = None,
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    json_path: JsonPath = None,
) -> None:
    """Implicit against gold reward, a panel a checkpoint, with the line of slope 1; and a CSV of the points."""
    from epa_bench.pipeline.plot_checkpoints import plot_linearity

    show_rows(plot_linearity(run_folder, leaderboards, form, arms=arms, seeds=seeds), json_path)


@plot.command()
def reliability(
    run_folder: RunFolder,
    form: OnlyFormat = None,
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    json_path: JsonPath = None,
) -> None:
    """Accuracy of the predicted winner by the confidence in it, a panel a checkpoint; and a CSV of the bins."""
    from epa_bench.pipeline.plot_checkpoints import plot_reliability

    show_rows(plot_reliability(run_folder, leaderboards, form), json_path)


@plot.command()
def training(
    run_folder: RunFolder,
    metrics: Annotated[
        list[str], typer.Option("--metric", metavar="NAME", help="Only these panels, as the log names them.")
    ] = [],
    form: OnlyFormat = None,
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    json_path: JsonPath = None,
) -> None:
    """Loss, rewards, softmax mass, log-probs and speed over training, arms overlaid; and a CSV of the curves."""
    from epa_bench.pipeline.plot_checkpoints import plot_training

    show_rows(plot_training(run_folder, leaderboards, form, metrics=metrics), json_path, stated=("plot",))


@plot.command()
def frontier(
    run_folder: RunFolder,
    reward: RewardMetric = "generation.gold_reward",
    kl: KlMetric = "kl.kl_k3_tokens",
    baseline: BaselineMethod = "dpo",
    form: OnlyFormat = None,
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    json_path: JsonPath = None,
) -> None:
    """Reward against KL, methods connected over beta; and a CSV of the points."""
    from epa_bench.pipeline.plot_table import plot_frontier

    rows = plot_frontier(run_folder, leaderboards, form, reward=reward, kl=kl, baseline=baseline)
    show_rows(rows, json_path, stated=("plot",))


@plot.command()
def length(
    run_folder: RunFolder,
    form: OnlyFormat = None,
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    json_path: JsonPath = None,
) -> None:
    """Win rate against mean length of every arm: whether who wins more also writes more."""
    from epa_bench.pipeline.plot_table import plot_length

    show_rows(plot_length(run_folder, leaderboards, form), json_path)


@plot.command()
def margin(
    run_folder: RunFolder,
    form: OnlyFormat = None,
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    json_path: JsonPath = None,
) -> None:
    """Margins of a run's headline metrics as a forest plot, with what they could have detected."""
    from epa_bench.pipeline.plot_table import plot_margin

    show_rows(plot_margin(run_folder, leaderboards, form), json_path, stated=("plot",))


@plot.command()
def trend(
    leaderboard: LeaderboardHistory,
    suite: OnlySuite = None,
    metric: OnlyMetric = None,
    arm: OnlyArm = None,
    form: OnlyFormat = None,
    json_path: JsonPath = None,
) -> None:
    """Margins over the versions of a leaderboard, a panel a metric."""
    from epa_bench.leaderboard.history import board_versions
    from epa_bench.leaderboard.trend import trend_of
    from epa_bench.pipeline.trend_plot import plot_trend

    found = trend_of(board_versions(leaderboard), suite=suite, metric=metric, arm=arm)
    show_rows(plot_trend(found, leaderboard, form), json_path, stated=("plot",))


@plot.command("label-curve")
def label_curve(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .json file that `study label-curve` wrote.")],
    form: OnlyFormat = None,
    json_path: JsonPath = None,
) -> None:
    """What labels are worth by how the rows were chosen, a panel a metric and method."""
    from epa_bench.studies.label_curve_plot import plot_label_curve

    show_rows(plot_label_curve(file, form), json_path, stated=("plot",))
