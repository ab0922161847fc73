"""A leaderboard as it was: versions of NAME.json from git's history, or from a folder of dated results."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from epa_bench.core.errors import DataError, StoreError
from epa_bench.leaderboard.board import Leaderboard


@dataclass(frozen=True, slots=True)
class BoardVersion:
    """One state of a leaderboard."""

    label: str
    """Commit, twelve digits; or a file's name."""

    date: str
    """Of the commit, ISO 8601 with its own time zone; empty for a file, whose name says when."""

    board: Leaderboard | None
    """None for what this program cannot read, such as a version of another schema."""


def board_versions(path: Path) -> list[BoardVersion]:
    """Oldest first. A folder: each of its .json files, by name. A file: each commit that changed it, on the way back
    through first parents, and what is not committed yet.

    Raises DataError where there is nothing, or the file has no history; StoreError without git.
    """
    if path.is_dir():
        files = sorted(path.glob("*.json"))
        if not files:
            raise DataError(f"{path}: expected .json leaderboards, found none; name a folder of dated results")
        return [BoardVersion(file.stem, "", _board(file.read_bytes())) for file in files]
    if not path.is_file():
        raise DataError(f"{path}: expected a leaderboard's .json file or a folder of them, found neither")
    return _committed(path)


def _committed(path: Path) -> list[BoardVersion]:
    log = _git(path, "log", "--first-parent", "--reverse", "--format=%H %cI", "--", path.name)
    if not log:
        raise DataError(f"{path} has no history in git: commit it, or name a folder of dated results")
    versions = []
    content = b""
    for line in log.decode().splitlines():
        commit, _, date = line.partition(" ")
        listed = _git(path, "ls-tree", "--name-only", commit, "--", path.name)
        # A commit that removed the file has no state of it.
        if listed:
            content = _git(path, "show", f"{commit}:./{path.name}") or b""
            versions.append(BoardVersion(commit[:12], date, _board(content)))
    if path.read_bytes() != content:
        versions.append(BoardVersion("not committed", "", _board(path.read_bytes())))
    return versions


def _git(path: Path, *arguments: str) -> bytes | None:
    """Output of git in the file's folder; None where it refuses, as outside a repository."""
    try:
        done = subprocess.run(["git", "-C", str(path.parent), *arguments], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise StoreError("git is not installed, and the history is in git; name a folder of dated results") from error
    return done.stdout if done.returncode == 0 else None


def _board(content: bytes) -> Leaderboard | None:
    try:
        return Leaderboard.model_validate_json(content)
    except ValidationError:
        return None
