"""The gate: verdicts by hand, pairing, correction, bad input, texts."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import ConfigError, DataError, EpaBenchError
from epa_bench.core.records import ScoreRow
from epa_bench.leaderboard.gate import run_gate, update_baseline
from epa_bench.leaderboard.gate_baseline import read_baseline, write_baseline
from epa_bench.leaderboard.gate_policy import read_policy
from epa_bench.leaderboard.gate_text import gate_junit, gate_markdown
from epa_bench.leaderboard.render import to_json
from epa_bench.leaderboard.rows import read_rows
from epa_bench.leaderboard.run_files import BOARD, ROWS, read_run
from tests.leaderboard.gating import baseline_of, check, gate_rows, policy_of, rows_of, run_of

BEFORE = [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
AFTER = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
"""Lost 1, 7 and 9, gained 5: the differences' mean is -.2."""


def _noisy(name: str, shift: float = 0.0, n: int = 200, seeds: int = 3) -> dict[int, list[float]]:
    rng = np.random.default_rng(stable_seed("test_gate", name))
    return {seed: (0.5 + shift + rng.normal(0, 0.1, n)).tolist() for seed in range(seeds)}


def test_worked_check(tmp_path: Path) -> None:
    report = gate_rows(tmp_path, rows_of({1: BEFORE}), rows_of({1: AFTER}), check(margin=0.05))
    (result,) = report.checks
    tested = result.tested
    assert tested is not None
    outside = stats.ttest_rel(AFTER, BEFORE)
    assert (tested.baseline, tested.candidate) == pytest.approx((0.7, 0.5))
    assert tested.interval.estimate == pytest.approx(-0.2)
    low, high = outside.confidence_interval(0.9)
    assert (tested.interval.low, tested.interval.high) == pytest.approx((low, high))
    expected = stats.ttest_1samp(np.subtract(AFTER, BEFORE), -0.05, alternative="greater").pvalue
    assert tested.p_non_inferior == pytest.approx(expected)
    # Of the 16 signs of four ones, 10 have a sum of 2 or more: 2 of 4, 8 of 2.
    assert tested.p_sign_flip == pytest.approx(10 / 16)
    assert tested.p_mcnemar == pytest.approx(stats.binomtest(1, 4).pvalue)
    assert [(f.prompt_id, f.better) for f in tested.flips or ()] == [
        ("p0001", False),
        ("p0007", False),
        ("p0009", False),
        ("p0005", True),
    ]
    assert (result.verdict, report.verdict, report.exit_code) == ("INCONCLUSIVE", "INCONCLUSIVE", 2)
    assert result.notes == ("prompts only: seed variance not estimated",)


@pytest.mark.parametrize(
    ("shift", "verdict", "code"), [(0.0, "PASS", 0), (-0.05, "INCONCLUSIVE", 2), (-0.2, "BREACH", 1), (0.2, "PASS", 0)]
)
def test_three_verdicts(tmp_path: Path, shift: float, verdict: str, code: int) -> None:
    report = gate_rows(tmp_path, rows_of(_noisy("a")), rows_of(_noisy("b", shift)), check(margin=0.05))
    assert (report.verdict, report.exit_code) == (verdict, code)


def test_direction_is_the_metrics(tmp_path: Path) -> None:
    """Fewer tokens are better: a rise is a breach, and is shown as a negative change."""
    before, after = rows_of(_noisy("a"), metric="tokens"), rows_of(_noisy("b", 0.2), metric="tokens")
    report = gate_rows(tmp_path, before, after, check(metric="tokens"))
    assert report.verdict == "BREACH"
    tested = report.checks[0].tested
    assert tested is not None
    assert tested.interval.estimate == pytest.approx(tested.baseline - tested.candidate)


@pytest.mark.parametrize(
    ("tier", "shift", "verdict"),
    [
        ("critical", -0.05, "INCONCLUSIVE"),
        ("supporting", -0.05, "PASS"),
        ("supporting", -0.2, "BREACH"),
        ("advisory", -0.2, "PASS"),
    ],
)
def test_tiers(tmp_path: Path, tier: str, shift: float, verdict: str) -> None:
    report = gate_rows(tmp_path, rows_of(_noisy("a")), rows_of(_noisy("b", shift)), check(0.05, tier))
    assert report.verdict == verdict
    assert report.checks[0].verdict == ("INCONCLUSIVE" if shift == -0.05 else "BREACH")


def test_holm_over_the_checks_that_decide(tmp_path: Path) -> None:
    """Two equal checks double their p; an advisory one beside them is corrected by itself."""
    before = [*rows_of({1: BEFORE}), *rows_of({1: BEFORE}, suite="t")]
    after = [*rows_of({1: [0.0] * 10}), *rows_of({1: [0.0] * 10}, suite="t")]
    single = gate_rows(tmp_path, before, after, check(0.01)).checks[0].tested
    twice = gate_rows(tmp_path, before, after, check(0.01), check(0.01, "supporting", "t")).checks[0].tested
    beside = gate_rows(tmp_path, before, after, check(0.01), check(0.01, "advisory", "t")).checks[0].tested
    assert single is not None
    assert twice is not None
    assert beside is not None
    assert 0 < single.p_inferior < 0.1
    assert twice.p_inferior == pytest.approx(2 * single.p_inferior)
    assert beside.p_inferior == single.p_inferior


def test_golden_values(tmp_path: Path) -> None:
    golden = "golden:\n  - {suite: s, metric: slope, arm: epa, value: VALUE, tolerance: 1e-9}\n"
    run = run_of(tmp_path / "run", rows_of({1: [0.5, 0.7]}, metric="slope"))
    for value, verdict in (("0.6", "PASS"), ("0.6001", "BREACH")):
        loaded = read_policy(policy_of(tmp_path, more=golden.replace("VALUE", value)))
        report = run_gate(loaded, tmp_path / "none", run)
        assert report.verdict == report.golden[0].verdict == verdict
    failed = run_of(tmp_path / "failed", rows_of({1: ["no answer"]}, metric="slope"))
    assert run_gate(loaded, tmp_path / "none", failed).verdict == "BREACH"
    with pytest.raises(ConfigError, match="golden values only, which need no baseline"):
        update_baseline(loaded, tmp_path / "none", run)


def test_golden_margins_and_their_errors(tmp_path: Path) -> None:
    """EPA - DPO is .1 and .3: mean .2, standard error .1."""
    epa = rows_of({1: [0.5, 0.8]})
    dpo = [row.model_copy(update={"arm": "dpo", "method": "dpo"}) for row in rows_of({1: [0.4, 0.5]})]
    run = run_of(tmp_path / "run", [*epa, *dpo])
    golden = "  - {suite: s, metric: win_rate, arm: ARM, of: OF, value: VALUE, tolerance: 1e-9}\n"
    lines = [
        golden.replace("ARM", arm).replace("OF", of).replace("VALUE", value)
        for arm, of, value in (("epa", "margin", "0.2"), ("epa", "margin_se", "0.1"), ("dpo", "margin", "0.0"))
    ]
    loaded = read_policy(policy_of(tmp_path, more="golden:\n" + "".join(lines)))
    report = run_gate(loaded, tmp_path / "none", run)
    assert [result.verdict for result in report.golden] == ["PASS", "PASS", "BREACH"]
    assert report.golden[2].found is None
    assert "standard error of the margin" in gate_junit(report)


def test_a_statistic_without_rows_is_refused_in_words(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", rows_of({1: BEFORE}))
    _, board = read_run(run)
    statistic = board.tables[0].model_copy(update={"metric": "lc_win_rate"})
    (run / BOARD).write_text(to_json(board.model_copy(update={"tables": (*board.tables, statistic)})))
    loaded = read_policy(policy_of(tmp_path, check(metric="lc_win_rate")))
    baseline_of(tmp_path / "old.jsonl", run)
    for ask in (run_gate, update_baseline):
        with pytest.raises(ConfigError, match=r"policy\.yaml:2.*`lc_win_rate` is fitted to all prompts together"):
            ask(loaded, tmp_path / "old.jsonl", run)


def test_a_baseline_holds_what_the_checks_compare(tmp_path: Path) -> None:
    rows = [*rows_of({1: BEFORE}), *rows_of({1: BEFORE}, metric="tokens"), *rows_of({1: BEFORE}, suite="t")]
    run, path = run_of(tmp_path / "run", rows), tmp_path / "b.jsonl"
    update_baseline(read_policy(policy_of(tmp_path, check())), path, run)
    assert {(row.suite, row.metric) for row in read_baseline(path)[0]} == {("s", "win_rate")}
    wider = read_policy(policy_of(tmp_path, check(), check(suite="t")))
    with pytest.raises(ConfigError, match="the baseline has no suite `t`"):
        run_gate(wider, path, run)


def test_what_has_no_pair_is_counted_and_too_much_of_it_is_inconclusive(tmp_path: Path) -> None:
    before = rows_of(_noisy("a", n=100))
    after: dict[int, list[float | str | None]] = {seed: [*row] for seed, row in _noisy("b", n=100).items() if seed}
    after[1][:2], after[2][50] = [None, "cut off"], "judge silent"
    result = gate_rows(tmp_path, before, rows_of(after)).checks[0]
    assert (result.n_prompts, result.n_left_out, result.seeds, result.seeds_left_out) == (97, 3, (1, 2), (0,))
    assert result.verdict == "PASS"
    after[1][:20] = ["cut off"] * 20
    result = gate_rows(tmp_path, before, rows_of(after)).checks[0]
    assert (result.verdict, result.tested) == ("INCONCLUSIVE", None)
    assert result.notes == ("more than 0.05 of the prompts have no pair",)
    assert gate_rows(tmp_path, before, rows_of(after), check(), more="max_left_out: 0.3\n").verdict == "PASS"


def test_thin_and_degenerate_runs(tmp_path: Path) -> None:
    one_prompt = gate_rows(tmp_path, rows_of({1: [1.0], 2: [1.0]}), rows_of({1: [1.0], 2: [1.0]}))
    assert one_prompt.verdict == "INCONCLUSIVE"
    all_failed = gate_rows(tmp_path, rows_of({1: [1.0, 0.0]}), rows_of({1: ["e", "e"]}))
    assert (all_failed.verdict, all_failed.checks[0].n_prompts) == ("INCONCLUSIVE", 0)
    ties = gate_rows(tmp_path, rows_of({1: BEFORE}), rows_of({1: BEFORE}))
    assert ties.verdict == "PASS"
    assert "no variance" in ties.checks[0].notes[1]
    for value, verdict in ((0.5, "PASS"), (0.45, "PASS"), (0.2, "BREACH")):
        assert gate_rows(tmp_path, rows_of({1: [0.5] * 9}), rows_of({1: [value] * 9})).verdict == verdict


def test_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    before, after = rows_of(_noisy("a")), rows_of(_noisy("b"))
    assert gate_rows(tmp_path, before, after) == gate_rows(tmp_path, before[::-1], after[::-1])


def _refusal(tmp_path: Path, before: list[ScoreRow], after: list[ScoreRow], *checks: str) -> EpaBenchError:
    with pytest.raises(EpaBenchError) as caught:
        gate_rows(tmp_path, before, after, *checks)
    return caught.value


def test_runs_that_share_nothing(tmp_path: Path) -> None:
    rows = rows_of({1: BEFORE})
    prompts = _refusal(tmp_path, rows, rows_of({1: BEFORE}, prompt="q"))
    assert isinstance(prompts, DataError)
    assert "no prompt in common (p0000, p0001, p0002 and 7 more there, q0000" in str(prompts)
    assert "no seed in common (1 there, 2 here)" in str(_refusal(tmp_path, rows, rows_of({2: BEFORE})))


def test_a_policy_that_names_what_is_not_there(tmp_path: Path) -> None:
    rows = [*rows_of({1: BEFORE}), *rows_of({1: BEFORE}, metric="slope")]
    wrong = [check(suite="ss"), check(metric="win_rates"), check(metric="slope"), check().replace("arm: epa", "arm: x")]
    error = _refusal(tmp_path, rows, rows, *wrong)
    assert isinstance(error, ConfigError)
    for line, words in (
        (2, "the candidate has no suite `ss`; did you mean `s`?"),
        (3, "the candidate has no metric `win_rates` in suite s; did you mean `win_rate`?"),
        (4, "`slope` has no better side"),
        (5, "no values of arm `x` on s win_rate; known: epa"),
    ):
        assert f"policy.yaml:{line}: " in str(error)
        assert words in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checks: []", "expected `checks`, `golden` or both"),
        ("checks:\n" + check() + check(0.2), "name the same suite, metric and arm"),
        ("checks:\n" + check(-0.1), "policy.yaml:2: `checks.0.margin`: Input should be greater than 0"),
        ("checks:\n" + check(tier="vital"), "policy.yaml:2: `checks.0.tier`"),
        ("level: .95\nlevels: 1\nchecks:\n" + check(), "policy.yaml:2: `levels`"),
        ("level: .5\nchecks:\n" + check(), "policy.yaml:1: `level`"),
    ],
)
def test_wrong_policies(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_policy(path)
    assert words in str(caught.value)


def test_a_baseline_of_another_judge_or_suite_version(tmp_path: Path) -> None:
    rows = rows_of({1: BEFORE})
    loaded = read_policy(policy_of(tmp_path, check()))
    baseline_of(tmp_path / "b.jsonl", run_of(tmp_path / "old", rows))
    with pytest.raises(DataError, match=r"s: the baseline .* judge: gpt there, claude here"):
        run_gate(loaded, tmp_path / "b.jsonl", run_of(tmp_path / "new", rows, judge="claude"))
    with pytest.raises(DataError, match=r'settings: s: \{"limit": 1\} there, s: \{"limit": 2\} here'):
        run_gate(loaded, tmp_path / "b.jsonl", run_of(tmp_path / "new", rows, settings='{"limit": 2}'))


def test_a_baseline_that_is_not_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    rows = rows_of({1: BEFORE})
    _, board = read_run(run_of(tmp_path / "old", rows))
    write_baseline(path, "old", rows, board)
    assert read_baseline(path) == (rows, board)
    written = path.read_text()
    write_baseline(path, "old", rows[::-1], board)
    assert path.read_text() == written
    head, first, *others = written.splitlines(keepends=True)
    for edited, words in (
        (written.replace('"value":1.0', '"value":0.0', 1), "digest does not fit"),
        ("".join([head, *others]), "digest does not fit"),
        (first, "not a gate's baseline"),
        ("", "not a gate's baseline"),
        (written.replace('"value":1.0', '"value":NaN', 1), "row 2"),
        (written.replace("baseline 1", "baseline 9"), "row 1: head.format"),
    ):
        assert edited != written
        path.write_text(edited)
        with pytest.raises(DataError, match=words):
            read_baseline(path)
    with pytest.raises(DataError, match="cannot read"):
        read_baseline(tmp_path / "none")


def test_update(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    loaded = read_policy(policy_of(tmp_path, check(0.05)))
    old, new = run_of(tmp_path / "old", rows_of(_noisy("a"))), run_of(tmp_path / "new", rows_of(_noisy("b", -0.2)))
    assert update_baseline(loaded, path, old) == (None, "There was no baseline to compare with.")
    report, _ = update_baseline(loaded, path, new)
    assert report is not None
    assert report.verdict == "BREACH"
    assert run_gate(loaded, path, new).verdict == "PASS"
    path.write_text("edited")
    report, why_none = update_baseline(loaded, path, old)
    assert report is None
    assert "Not compared with the old baseline" in why_none
    assert read_baseline(path)[0] == read_rows(old / ROWS)
    unfit = read_policy(policy_of(tmp_path, check(suite="unknown")))
    with pytest.raises(ConfigError):
        update_baseline(unfit, path, new)
    assert read_baseline(path)[0] == read_rows(old / ROWS)


def test_markdown_and_junit(tmp_path: Path) -> None:
    hostile = rows_of({1: BEFORE}, prompt="<b>|\x1b[31m")
    after = rows_of({1: AFTER}, prompt="<b>|\x1b[31m")
    golden = "golden:\n  - {suite: s, metric: win_rate, arm: epa, value: 0.4, tolerance: 0}\n"
    report = gate_rows(tmp_path, hostile, after, check(0.05), more=golden)
    text = gate_markdown(report)
    assert text.startswith("## BREACH: new against ")
    assert "| BREACH | s win_rate, epa | 0.4 within 0.0 | 0.5 |" in text
    assert "| INCONCLUSIVE | critical | s win_rate (%), epa | 70.0 | 50.0 | -20.0 (above -" in text
    assert "3 lost, 1 gained" in text
    assert "<b>" not in text
    assert "\x1b" not in text
    suite = ElementTree.fromstring(gate_junit(report))
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "2",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    assert [case.get("name") for case in suite] == ["golden win_rate epa", "win_rate epa (critical)"]
