"""Margins over versions: from a repository with commits, from a folder, and what changed between two."""

from pathlib import Path

import pytest

from epa_bench.core.errors import DataError
from epa_bench.leaderboard.history import board_versions
from epa_bench.leaderboard.render import to_json
from epa_bench.leaderboard.trend import trend_of
from tests.leaderboard.versions import board_of, commit, git, history_of


def test_a_file_has_the_versions_of_its_commits(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    first, unreadable, last = history_of(path)
    trend = trend_of(board_versions(path))
    assert trend.unreadable == (unreadable[:12],)
    assert [(point.version, point.date[:10]) for point in trend.points] == [
        (first[:12], "2026-01-01"),
        (last[:12], "2026-03-01"),
    ]
    # .5, .7, .9 over .5; a tenth more in the last version.
    assert [point.margin.value for point in trend.points] == pytest.approx([0.2, 0.3])
    assert [point.changed for point in trend.points] == ["", "epa-bench 1 to 2; judge gpt to other"]
    assert trend.points[0].shown()["margin"].startswith("+20.0 (")
    assert {point.metric for point in trend.points} == {"win_rate"}


def test_what_is_not_committed_comes_last(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    history_of(path)
    assert board_versions(path)[-1].label != "not committed"
    path.write_text(to_json(board_of([1.0, 1.0, 0.9], notes=["Data: more"])))
    *_, last = trend_of(board_versions(path)).points
    assert (last.version, last.date) == ("not committed", "")
    assert "data" in last.changed.split("; ")


def test_a_commit_that_removed_the_file_is_no_version(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    commit(path, to_json(board_of([0.5, 0.7])), "2026-01-01T00:00:00Z")
    git(tmp_path, "rm", "--quiet", "mine.json")
    git(tmp_path, "commit", "--quiet", "--message", "gone")
    commit(path, to_json(board_of([0.5, 0.9])), "2026-01-03T00:00:00Z")
    assert len(board_versions(path)) == 2


def test_a_folder_of_dated_results(tmp_path: Path) -> None:
    for name, value in (("2026-02", 0.9), ("2026-01", 0.7)):
        (tmp_path / f"{name}.json").write_text(to_json(board_of([0.5, value])))
    points = trend_of(board_versions(tmp_path), metric="tokens").points
    assert [point.version for point in points] == ["2026-01", "2026-02"]
    assert [point.margin.value for point in points] == pytest.approx([0.1, 0.2])


def test_nothing_to_show(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    with pytest.raises(DataError, match="found neither"):
        board_versions(path)
    with pytest.raises(DataError, match="found none"):
        board_versions(tmp_path)
    path.write_text(to_json(board_of([0.5, 0.7])))
    with pytest.raises(DataError, match="has no history in git: commit it"):
        board_versions(path)
    versions = board_versions(tmp_path)
    with pytest.raises(DataError, match="no version has a margin of nonesuch; the newest has s tokens, s win_rate"):
        trend_of(versions, suite="nonesuch")
    path.write_text("{}")
    with pytest.raises(DataError, match="none of the 1 versions is a leaderboard"):
        trend_of(board_versions(tmp_path))
