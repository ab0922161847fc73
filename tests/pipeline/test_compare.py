"""Tables of several runs: arms side by side, margins by hand, and judges that do not compare."""

from pathlib import Path

import pytest

from epa_bench.core.errors import ConfigError, StoreError
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.leaderboard.build import build_table
from epa_bench.leaderboard.run_files import write_run
from epa_bench.pipeline.compare import compare_runs
from epa_bench.suites.registry import registry


def _run(folder: Path, judge: str, values: dict[str, list[float]], version: str = "1") -> Path:
    """A run of a suite `s`, an arm a key, a value a prompt, one seed."""
    rows = [
        ScoreRow(
            suite="s", metric="m", arm=arm, method=arm, beta=0.1, learning_rate=1e-6, seed=1, prompt_id=f"p{i}", value=v
        )
        for arm, of_arm in values.items()
        for i, v in enumerate(of_arm)
    ]
    board = build_table(rows, baseline="dpo", judge={"s": judge}, title=folder.name, versions={"torch": version})
    write_run(folder, rows, board, folder.parent / "leaderboards")
    return folder


def _margin(board: Leaderboard, arm: str) -> float | None:
    (result,) = (result for result in board.tables[0].arms if result.arm == arm)
    assert result.margin is not None
    return result.margin.value


def test_arms_of_both_runs_against_the_first_ones_baseline(tmp_path: Path) -> None:
    first = _run(tmp_path / "a", "gpt", {"dpo": [1.0, 2.0, 3.0], "epa": [2.0, 2.0, 5.0]})
    second = _run(tmp_path / "b", "gpt", {"dpo": [1.0, 4.0]}, version="2")
    board = compare_runs([first, second], tmp_path / "out", None, registry(), mix=False)
    assert _margin(board, "a/epa") == pytest.approx(1.0)
    # Over the two prompts in common: (0 + 2) / 2.
    assert _margin(board, "b/dpo") == pytest.approx(1.0)
    assert board.tables[0].judge == "gpt"
    assert board.versions["torch"] == "a 1; b 2"
    assert Leaderboard.model_validate_json((tmp_path / "out.json").read_bytes()) == board


def test_each_run_against_its_own_baseline(tmp_path: Path) -> None:
    first = _run(tmp_path / "a", "gpt", {"dpo": [1.0, 2.0], "epa": [2.0, 2.0]})
    second = _run(tmp_path / "b", "gpt", {"dpo": [1.0, 4.0], "epa": [4.0, 7.0]})
    board = compare_runs([first, second], tmp_path / "out", "*/dpo", registry(), mix=False)
    assert _margin(board, "a/epa") == pytest.approx(0.5)
    assert _margin(board, "b/epa") == pytest.approx(3.0)


def test_another_judge_is_refused_or_marked(tmp_path: Path) -> None:
    first = _run(tmp_path / "a", "gpt (references old)", {"dpo": [1.0, 2.0]})
    second = _run(tmp_path / "b", "gpt (references new)", {"dpo": [1.0, 4.0]})
    with pytest.raises(ConfigError, match=r"do not compare: s: a by gpt \(references old\), b by gpt \(ref"):
        compare_runs([first, second], tmp_path / "out", None, registry(), mix=False)
    assert not (tmp_path / "out.md").exists()
    board = compare_runs([first, second], tmp_path / "out", None, registry(), mix=True)
    assert board.tables[0].judge == "a by gpt (references old), b by gpt (references new)"
    assert "s: MIXED JUDGES" in (tmp_path / "out.md").read_text()


def test_bad_runs(tmp_path: Path) -> None:
    run = _run(tmp_path / "a", "gpt", {"dpo": [1.0, 2.0]})
    other = _run(tmp_path / "x" / "a", "gpt", {"dpo": [1.0, 2.0]})
    with pytest.raises(ConfigError, match="same name"):
        compare_runs([run, other], tmp_path / "out", None, registry(), mix=False)
    with pytest.raises(ConfigError, match=r"--baseline a/epa: no such method; there are a/dpo"):
        compare_runs([run], tmp_path / "out", "a/epa", registry(), mix=False)
    with pytest.raises(StoreError, match=r"no board\.json in"):
        compare_runs([tmp_path], tmp_path / "out", None, registry(), mix=False)
    (run / "board.json").write_text("{}")
    with pytest.raises(StoreError, match="is damaged; write the run's table again"):
        compare_runs([run], tmp_path / "out", None, registry(), mix=False)
