"""A run's frontier as Markdown, as JSON, and as CSV to plot."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

from epa_bench.core.files import atomic_write_text, storage_errors
from epa_bench.leaderboard.display import Grid, Line
from epa_bench.leaderboard.markdown import escape, grid_markdown
from epa_bench.pipeline.frontier import Estimate, Frontier

_COLUMNS = ("method", "arm", "beta", "learning_rate", "kl", "kl_low", "kl_high", "reward", "reward_low", "reward_high")


def write_frontier(frontier: Frontier, path: Path) -> None:
    """PATH.md, .csv and .json. Raises StoreError where they cannot be written."""
    texts = (frontier_markdown(frontier), frontier_csv(frontier), frontier_json(frontier))
    for file, text in zip(_files(path), texts, strict=True):
        atomic_write_text(file, text)


def remove_frontier(path: Path) -> None:
    """What `write_frontier` wrote, if it did. Raises StoreError."""
    for file in _files(path):
        with storage_errors(file):
            file.unlink(missing_ok=True)


def _files(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(f"{path.name}.{suffix}") for suffix in ("md", "csv", "json"))


def frontier_json(frontier: Frontier) -> str:
    """`Frontier.model_validate_json` reads it back."""
    return json.dumps(frontier.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def frontier_csv(frontier: Frontier) -> str:
    """The points with their intervals, the reference first: what a plot needs."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerow({"method": "reference", "arm": "reference", "kl": 0.0, "reward": frontier.reference_reward})
    for point in frontier.points:
        row = {
            **point.model_dump(include={"method", "arm", "beta", "learning_rate"}),
            **_columns("kl", point.kl),
            **_columns("reward", point.reward),
        }
        writer.writerow(row)
    return out.getvalue()


def frontier_markdown(frontier: Frontier) -> str:
    """Methods at matched KL, then every point."""
    about = (
        f"{frontier.reward} against {frontier.kl}: {len(frontier.seeds)} seed(s), {frontier.n_prompts} prompts, "
        f"{frontier.n_left_out} left out because a value is missing somewhere. The reference is at KL 0 with reward "
        f"{frontier.reference_reward:.3f}."
    )
    parts = [
        escape(f"# Frontier of {frontier.run}").replace("\\#", "#", 1),
        escape(about),
        f"## At matched KL, against {escape(frontier.baseline)}",
        grid_markdown(_matched(frontier)),
        "## Points",
        grid_markdown(_points(frontier)),
    ]
    return "\n\n".join(parts) + "\n"


def _matched(frontier: Frontier) -> Grid:
    lines = [
        Line(
            (
                row.method,
                f"{row.kl:.2f}",
                f"{row.reward:.3f}",
                f"{row.baseline_reward:.3f}",
                f"{row.difference:+.3f} "
                + ("(no interval)" if row.low is None or row.high is None else f"({row.low:+.3f}, {row.high:+.3f})"),
            )
        )
        for row in frontier.matched
    ]
    caption = (
        "At a quarter, half and three quarters of the largest KL that both reach; linear between points. (low, high): "
        "95 % pigeonhole bootstrap over seeds and prompts; no interval: too many draws end before this KL."
    )
    for method, points in Counter(point.method for point in frontier.points).items():
        if points == 1:
            caption += f" {method} has one point: its curve is the straight line from the reference to it."
    header = ("Method", "KL", "Reward", f"Reward of {frontier.baseline}", "Difference (95 %)")
    return Grid("", header, tuple(lines), (caption,))


def _points(frontier: Frontier) -> Grid:
    lines = [
        Line(
            (
                point.arm,
                f"{point.beta:g}",
                f"{point.learning_rate:g}",
                _cell(point.kl),
                _cell(point.reward),
                f"{point.implicit_reward:.3f}",
                "yes" if point.over_optimised else "",
            )
        )
        for point in sorted(frontier.points, key=lambda point: (point.method, point.kl.value))
    ]
    kept = "ARM@2/4: ARM's checkpoint at half of its training. " if any(p.kept for p in frontier.points) else ""
    caption = kept + (
        "Over-optimised: the first point of its method, in order of KL, whose reward is below its predecessor's while "
        "its implicit reward (beta x KL) is above; a point estimate."
    )
    header = ("Arm", "Beta", "Learning rate", "KL (95 %)", "Reward (95 %)", "Implicit reward", "Over-optimised")
    return Grid("", header, tuple(lines), (caption,))


def _cell(found: Estimate) -> str:
    return f"{found.value:.3f} ({found.low:.3f}, {found.high:.3f})"


def _columns(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
