"""Margins over time."""

from epa_bench.cli.options import JsonPath, LeaderboardHistory, OnlyArm, OnlyMetric, OnlySuite
from epa_bench.cli.output import grid, say, show


def trend(
    leaderboard: LeaderboardHistory,
    suite: OnlySuite = None,
    metric: OnlyMetric = None,
    arm: OnlyArm = None,
    json_path: JsonPath = None,
) -> None:
    """Margins over the versions of a leaderboard, and what else changed between two of them."""
    from epa_bench.leaderboard.history import board_versions
    from epa_bench.leaderboard.trend import trend_of

    found = trend_of(board_versions(leaderboard), suite=suite, metric=metric, arm=arm)
    lines = [point.shown() for point in found.points]
    show(lambda console: console.print(grid(lines)), found.model_dump_json(indent=2) + "\n", json_path)
    if found.unreadable:
        say(f"Left out, as this program cannot read them: {', '.join(found.unreadable)}")
