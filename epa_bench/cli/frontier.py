"""Reward against KL of a finished run."""

from pathlib import Path

from epa_bench.cli.options import BaselineMethod, JsonPath, KlMetric, LeaderboardsFolder, RewardMetric, RunFolder
from epa_bench.cli.output import show


def frontier(
    run_folder: RunFolder,
    reward: RewardMetric = "generation.gold_reward",
    kl: KlMetric = "kl.kl_k3_tokens",
    baseline: BaselineMethod = "dpo",
    leaderboards: LeaderboardsFolder = Path("leaderboards"),
    json_path: JsonPath = None,
) -> None:
    """Compare methods where they have gone equally far from the reference; write the table and the points to plot."""
    from epa_bench.pipeline.frontier import frontier_of
    from epa_bench.pipeline.frontier_table import frontier_json, frontier_markdown, write_frontier

    found = frontier_of(run_folder, reward=reward, kl=kl, baseline=baseline)
    write_frontier(found, leaderboards / f"{found.run}.frontier")
    show(lambda console: console.print(frontier_markdown(found), soft_wrap=True), frontier_json(found), json_path)
