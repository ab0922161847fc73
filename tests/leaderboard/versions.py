"""Leaderboards with a history: a repository of its own, a commit a version."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from epa_bench.core.metric import MetricInfo
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.render import to_json
from tests.leaderboard.gating import INFOS, rows_of

HEADLINE = {key: info.model_copy(update={"headline": key == ("s", "win_rate")}) for key, info in INFOS.items()}


def board_of(
    epa: Sequence[float],
    judge: str = "gpt",
    version: str = "1",
    notes: Sequence[str] = (),
    metrics: dict[tuple[str, str], MetricInfo] = HEADLINE,
) -> Leaderboard:
    """EPA against DPO, which has .5 everywhere, in two metrics."""
    dpo = [0.5] * len(epa)
    rows = [
        row.model_copy(update={"arm": arm, "method": arm})
        for arm, values in (("epa", epa), ("dpo", dpo))
        for metric in ("win_rate", "tokens")
        for row in rows_of({1: list(values)}, metric=metric)
    ]
    versions = {"epa-bench": version}
    return build_table(
        rows, baseline="dpo", judge={"s": judge}, title="t", versions=versions, notes=notes, metrics=metrics
    )


def commit(path: Path, text: str, date: str) -> str:
    """Writes and commits a file in the repository of its folder; gives the commit."""
    path.write_text(text, encoding="utf-8")
    if not (path.parent / ".git").exists():
        git(path.parent, "init", "--quiet", "--initial-branch", "main")
    git(path.parent, "add", path.name)
    git(path.parent, "commit", "--quiet", "--message", date, date=date)
    return git(path.parent, "rev-parse", "HEAD")


def git(folder: Path, *arguments: str, date: str = "2026-01-01T00:00:00+00:00") -> str:
    """Nothing of the user's configuration counts."""
    named = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    environment = {**os.environ, **named, **dates, **nobody}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout.strip()


def history_of(path: Path) -> list[str]:
    """Three versions of `path`, the second unreadable; the commits."""
    return [
        commit(path, to_json(board_of([0.5, 0.7, 0.9])), "2026-01-01T12:00:00+01:00"),
        commit(path, '{"schema": "of another age"}', "2026-02-01T12:00:00+01:00"),
        commit(path, to_json(board_of([0.6, 0.8, 1.0], judge="other", version="2")), "2026-03-01T12:00:00+01:00"),
    ]
