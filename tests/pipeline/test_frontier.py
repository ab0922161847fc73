"""A run's frontier from its rows: places, matched KL, what is left out, and what is refused."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from epa_bench.core.errors import ConfigError, DataError, SuiteError
from epa_bench.core.files import write_records
from epa_bench.core.records import ScoreRow
from epa_bench.pipeline.frontier import Frontier, frontier_of
from epa_bench.pipeline.frontier_table import frontier_csv, frontier_json, frontier_markdown
from tests.pipeline.frontier_rows import ARMS, KL, REWARD, rows

if TYPE_CHECKING:
    from tests.conftest import Workplace


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Frontier]:
    def made(found: list[ScoreRow], **options: str) -> Frontier:
        write_records(tmp_path / "mine" / "rows.jsonl", found)
        return frontier_of(tmp_path / "mine", **{"reward": REWARD, "kl": KL, "baseline": "dpo", **options}, n_draws=50)

    return made


def test_matched_kl_by_hand(run: Callable[..., Frontier]) -> None:
    """Both reach 4: at 1, 2 and 3 nats DPO has 0.5, 1 and 1.5, EPA 1, 2 and 1.75. Nothing varies but by prompt."""
    found = run(rows())
    assert {m.method for m in found.matched} == {"epa"}
    assert [m.kl for m in found.matched] == [1, 2, 3]
    assert [m.reward for m in found.matched] == pytest.approx([1, 2, 1.75])
    assert [m.baseline_reward for m in found.matched] == pytest.approx([0.5, 1, 1.5])
    for m in found.matched:
        assert m.low == pytest.approx(m.difference)
        assert m.high == pytest.approx(m.difference)
    assert (found.n_prompts, found.n_left_out, found.seeds, found.reference_reward) == (5, 0, (1, 2), 0)


def test_over_optimisation_is_flagged(run: Callable[..., Frontier]) -> None:
    """EPA's second point has more KL and implicit reward (0.8 > 0.2), but less reward."""
    found = run(rows())
    assert [point.arm for point in found.points if point.over_optimised] == ["epa-b2"]
    assert {point.arm: point.implicit_reward for point in found.points}["epa-b2"] == pytest.approx(0.8)


def test_a_prompt_without_a_value_somewhere_is_left_out_and_counted(run: Callable[..., Frontier]) -> None:
    found = rows()
    at = next(i for i, row in enumerate(found) if (row.suite, row.arm, row.prompt_id) == ("kl", "epa-b1", "p4"))
    found[at] = found[at].model_copy(update={"value": None, "error": "failed"})
    assert (run(found).n_prompts, run(found).n_left_out) == (4, 1)


def test_a_metric_whose_rows_all_failed_says_why(run: Callable[..., Frontier]) -> None:
    failed = {"value": None, "error": "read back as other tokens"}
    found = [row.model_copy(update=failed if row.suite == "kl" else {}) for row in rows()]
    with pytest.raises(DataError, match=r"all 40 rows of kl\..* failed, the first because read back as other tokens"):
        run(found)


def test_files(run: Callable[..., Frontier]) -> None:
    found = run(rows())
    assert Frontier.model_validate_json(frontier_json(found)) == found
    points = list(csv.DictReader(io.StringIO(frontier_csv(found))))
    assert [point["arm"] for point in points] == ["reference", *ARMS]
    assert (points[0]["kl"], points[4]["reward"]) == ("0.0", "1.5")
    text = frontier_markdown(found)
    assert text.startswith("# Frontier of mine\n")
    assert "| epa | 2.00 | 2.000 | 1.000 | +1.000 (+1.000, +1.000) |" in text
    assert "one point" not in text


def test_a_method_of_one_point_says_that_its_curve_is_a_line(run: Callable[..., Frontier]) -> None:
    text = frontier_markdown(run([row for row in rows() if row.arm != "epa-b2"]))
    assert "epa has one point: its curve is the straight line from the reference to it." in text
    assert "dpo has one point" not in text


@pytest.mark.parametrize(
    ("options", "keep", "error", "message"),
    [
        ({"kl": "kl.k9"}, lambda row: True, SuiteError, "no values of kl.k9; add its suite .* generation.gold_reward"),
        ({"baseline": "ipo"}, lambda row: True, ConfigError, "no method 'ipo' in .*; choose one of dpo, epa"),
        ({}, lambda row: row.prompt_id == "p1", DataError, "two or more prompts .* got 1 of 1"),
        ({}, lambda row: row.arm != "reference", DataError, "of the reference, got 0 of 5"),
        ({}, lambda row: row.suite != "kl" or (row.arm == "dpo-b1") == (row.seed == 1), DataError, "no seed has kl"),
    ],
)
def test_what_is_refused(
    options: dict[str, str],
    keep: Callable[[ScoreRow], bool],
    error: type[Exception],
    message: str,
    run: Callable[..., Frontier],
) -> None:
    with pytest.raises(error, match=message):
        run([row for row in rows() if keep(row)], **options)


def test_the_verb(tmp_path: Path, workplace: "Workplace") -> None:
    write_records(workplace.folder / "runs" / "mine" / "rows.jsonl", rows())
    done = workplace.run("frontier", "runs/mine", "--kl", KL, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert Frontier.model_validate_json(done.stdout).baseline == "dpo"
    assert (workplace.folder / "leaderboards" / "mine.frontier.csv").is_file()
    refused = workplace.run("frontier", "runs/none")
    assert refused.returncode == 4
    assert "cannot read" in refused.stderr
