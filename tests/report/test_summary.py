"""The sentences a reader meets first, and what failed."""

from pathlib import Path

from epa_bench.core.metric import MetricInfo
from epa_bench.leaderboard.cells import TIMES
from epa_bench.report.loaded import load_run
from epa_bench.report.summary import RunSummary, summary
from tests.report.handmade import Examples, Judged, write_handmade

ARMS = {"dpo": 1.4, "dpo-nll": 1.5, "epa": 1.7}


def _examples(prefix: str = "", failed: str = "") -> Examples:
    return {
        f"question {number}": {
            (f"{prefix}{arm}", seed): Judged(
                "answer", (None,) if (arm, number) == (failed, 0) else (preference + 0.01 * (number + seed),)
            )
            for arm, preference in ARMS.items()
            for seed in (1, 2)
        }
        for number in range(4)
    }


def _summary(run: Path) -> RunSummary:
    found: RunSummary = summary((load_run(run, run.parent),)).data.runs[0]
    return found


def test_the_sentence_has_margin_interval_n_seeds_judge_and_detectable_effect(tmp_path: Path) -> None:
    epa, nll = _summary(write_handmade(tmp_path / "runs", _examples())).findings
    assert (epa.arm, epa.against, epa.verdict, epa.reading) == ("epa", "dpo", "better", "better than")
    assert epa.margin.startswith("+30.00 (+30.00, +30.00)")
    assert epa.details.startswith(
        f"95 % interval over 4 prompts {TIMES} 2 seeds (1, 2); judged by a judge; a true margin of "
    )
    assert nll.arm == "dpo-nll"


def test_where_lower_is_better_more_is_worse(tmp_path: Path) -> None:
    info = MetricInfo(label="harm", better="lower", headline=True)
    epa, _ = _summary(write_handmade(tmp_path / "runs", _examples(), info=info)).findings
    assert epa.reading == "worse than"


def test_another_loss_leads_also_where_methods_are_named_after_their_reference(tmp_path: Path) -> None:
    run = write_handmade(tmp_path / "runs", _examples("recipe/n0/"))
    assert [finding.arm for finding in _summary(run).findings] == ["recipe/n0/epa", "recipe/n0/dpo-nll"]


def test_failures_are_counted_by_reason(tmp_path: Path) -> None:
    found = _summary(write_handmade(tmp_path / "runs", _examples(failed="epa")))
    assert found.n_failed == 2
    assert found.failures.rows == (("alpaca_eval_2 · win rate (%) ↑", "epa", "unread", "2"),)
    assert ", 1 left out" in found.findings[0].details


def test_a_table_alone_counts_failures_without_reasons(tmp_path: Path) -> None:
    run = write_handmade(tmp_path / "runs", _examples(failed="epa"))
    (table,) = summary((load_run(run.parent / "leaderboards" / "made.json", tmp_path),)).data.runs
    assert table.failures.rows[0][1:] == ("epa", "reasons are in the run's rows", "2")
    assert "only what" in table.remarks[0]
