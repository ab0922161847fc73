"""Sweeps whose suites are published ones, judged over HTTP by a server that misbehaves."""

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.report.answers import answers as answers_section
from epa_bench.report.loaded import load_run
from tests.judge_server import Asked, Fault, JudgeServer
from tests.pipeline.published import (
    CHECKPOINTS,
    PROMPTS,
    QUESTIONS,
    Judged,
    misbehaving,
    rate,
    rows_of,
    say,
)

if TYPE_CHECKING:
    from tests.conftest import Workplace


def test_both_benchmarks_through_a_judge_that_misbehaves(judged: Judged) -> None:
    with JudgeServer(misbehaving) as server:
        workplace = judged(server.url)
        workplace.finish()
        asked = len(server.requests)
        rows = rows_of(workplace)
        assert all(row.get("error") is None for row in rows)
        counts = Counter((row["suite"], row["metric"]) for row in rows)
        assert counts["alpaca_eval_2", "win_rate"] == PROMPTS * CHECKPOINTS
        assert counts["mt_bench", "score"] == 2 * len(QUESTIONS) * CHECKPOINTS
        tables = workplace.tables()
        text = tables["mini.md"].decode()
        assert "Judge: judge (prompt " in text
        assert "the answer shown first wins" in text

        workplace.finish()
        assert len(server.requests) == asked
        assert workplace.tables() == tables


def test_failed_verdicts_are_rows_and_asked_again(judged: Judged) -> None:
    def third(asked: Asked) -> bool:
        return bool(asked.body.get("logprobs")) and asked.number == 3

    def sometimes(asked: Asked) -> Fault | None:
        if third(asked):
            return Fault(change=lambda completion: say(completion, "no"))
        return rate(asked)

    with JudgeServer(sometimes) as server:
        workplace = judged(server.url)
        workplace.finish()
        failed = [row for row in rows_of(workplace) if row.get("error") is not None]
        assert Counter((row["suite"], row["metric"]) for row in failed) == {
            ("alpaca_eval_2", "win_rate"): CHECKPOINTS,
            ("alpaca_eval_2", "discrete_win_rate"): CHECKPOINTS,
        }
        assert {row.get("error") for row in failed} == {"no log-probs in the reply"}
        table = workplace.tables()["mini.md"].decode()
        assert f"{CHECKPOINTS} failed (no log-probs in the reply {CHECKPOINTS})" in table

        server.schedule = rate
        before = len(server.requests)
        workplace.finish()
        again = server.requests[before:]
        # Checkpoints that gave the same answer share the question.
        assert {asked.text for asked in again} == {asked.text for asked in server.requests[:before] if third(asked)}
        assert len({asked.text for asked in again}) == len(again)
        assert all(row.get("error") is None for row in rows_of(workplace))


def test_a_judge_that_is_gone_takes_no_verdict_with_it(judged: Judged) -> None:
    with JudgeServer(lambda asked: Fault(status=400) if "question 3" in asked.text else rate(asked)) as server:
        workplace = judged(server.url, retries=0)
        workplace.finish()
    before = rows_of(workplace)
    workplace.finish()
    after = rows_of(workplace)
    assert [row.get("value") for row in after] == [row.get("value") for row in before]
    reasons = {row["error"] for row in after if "error" in row}
    assert len(reasons) == 1
    assert "connection failed" in reasons.pop()


def test_budget_stops_and_a_rerun_goes_on(judged: Judged) -> None:
    with JudgeServer(rate) as server:
        workplace = judged(server.url, budget={"calls": 5})
        stopped = workplace.run("run", "mini.yaml")
        assert stopped.returncode == 11
        assert "budget is reached (5 calls" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        assert len(server.requests) == 5
        workplace.finish("mini.yaml", "--set", "judge.budget.calls=1000")
        assert len({asked.text for asked in server.requests}) == len(server.requests)


def test_a_budget_of_zero_asks_nothing(judged: Judged) -> None:
    with JudgeServer(rate) as server:
        stopped = judged(server.url, budget={"calls": 0}).run("run", "mini.yaml")
        assert stopped.returncode == 11
        assert "budget is reached (0 calls" in stopped.stderr
        assert server.requests == []


def test_dry_run_before_and_after_the_answers(judged: Judged) -> None:
    with JudgeServer(rate) as server:
        workplace = judged(server.url, prices={"input": 10, "output": 30})
        first = workplace.run("judge", "mini.yaml", "--dry-run", "--json", "-")
        assert first.returncode == 0, first.stderr
        rows = json.loads(first.stdout)
        assert [row["questions"] for row in rows] == [PROMPTS * CHECKPOINTS, 2 * len(QUESTIONS) * CHECKPOINTS]
        assert all(row["dollars"] > 0 and row["answered"] == CHECKPOINTS for row in rows)
        assert server.requests == []
        workplace.finish()
        assert len(server.requests) == sum(row["calls"] for row in rows)
        rows = json.loads(workplace.run("judge", "mini.yaml", "--dry-run", "--json", "-").stdout)
        assert [row["calls"] for row in rows] == [0, 0]


def test_dry_run_before_anything_is_trained(judged: Judged) -> None:
    """Answers are then as long as they may become, and no two alike."""
    workplace = judged("http://127.0.0.1:9/v1", prices={"input": 10, "output": 30})
    place = workplace.copy(workplace.folder.parent / "bare")
    shutil.rmtree(place.store)
    done = place.run("judge", "mini.yaml", "--dry-run", "--json", "-")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["suite"]: row["calls"] for row in rows} == {
        "alpaca_eval_2": PROMPTS * CHECKPOINTS,
        "mt_bench": 2 * len(QUESTIONS) * CHECKPOINTS,
    }
    assert {row["answered"] for row in rows} == {0}
    assert [path.name for path in (place.store / "cells").iterdir()] == ["texts"]


def test_matches_in_both_orders(judged: Judged) -> None:
    with JudgeServer(rate) as server:
        workplace = judged(server.url, {"suites.alpaca_eval_2": None, "suites.mt_bench.mode": "pair"})
        workplace.finish()
        assert len(server.requests) <= 2 * 2 * len(QUESTIONS) * (CHECKPOINTS - 1)
    counts = Counter((row["arm"], row["metric"]) for row in rows_of(workplace))
    assert set(counts) == {
        (arm, m) for arm in ("dpo", "epa-1-1-2") for m in ("win_rate_adjusted", "order_inconsistency")
    }
    assert "the orders name different winners in" in workplace.tables()["mini.md"].decode()
    examples = _examples_of_page(workplace, "mini")["mt_bench"]
    assert len(examples) == 2 * len(QUESTIONS)
    for _, prompt, category, opponent, answers in examples:
        assert prompt
        assert category
        assert isinstance(opponent, str)
        for _, _, error, verdict, calls in answers:
            assert error is None
            assert verdict in ("wins", "loses", "draw")
            assert [(order, "I say [[" in reasoning) for order, _, reasoning in calls] == [
                ("shown second", True),
                ("shown first", True),
            ]


def _examples_of_page(workplace: "Workplace", name: str) -> dict[str, list[Any]]:
    """Suite -> the examples that the run's report shows."""
    runs = workplace.folder / "runs"
    section = answers_section((load_run(runs / name, runs),))
    found: dict[str, list[Any]] = {}
    for chunk in map(json.loads, section.chunks):
        found.setdefault(section.data.groups[chunk["group"]]["suite"], []).extend(chunk["examples"])
    return found


def test_exports_of_a_sweep(judged: Judged) -> None:
    with JudgeServer(rate) as server:
        workplace = judged(server.url)
        workplace.finish()
    for tool in ("alpaca-eval", "mt-bench"):
        done = workplace.run("export", tool, "runs/mini", "--to", f"out-{tool}")
        assert done.returncode == 0, done.stderr
        place = "out-alpaca-eval" if tool == "alpaca-eval" else "out-mt-bench/model_judgment/judge_single.jsonl"
        imported = workplace.run("import", tool, place, "--name", tool, "--missing", "count", "--json", "-")
        assert imported.returncode == 0, imported.stderr
        models = {row["model"]: row for row in json.loads(imported.stdout)}
        assert set(models) == {"reference", "dpo-seed-1", "epa-1-1-2-seed-1"}
        key, metric, scale = ("win_rate", "win_rate", 100) if tool == "alpaca-eval" else ("average", "score", 1)
        suite = "alpaca_eval_2" if tool == "alpaca-eval" else "mt_bench"
        ours = [
            row["value"]
            for row in rows_of(workplace)
            if (row["suite"], row["metric"], row["arm"]) == (suite, metric, "dpo")
        ]
        assert models["dpo-seed-1"][key] == pytest.approx(scale * sum(ours) / len(ours), abs=1e-9)
    examples = _examples_of_page(workplace, "mini")
    assert {suite: len(of) for suite, of in examples.items()} == {
        "alpaca_eval_2": PROMPTS,
        "mt_bench": 2 * len(QUESTIONS),
    }
    ratings = {answer[3] for example in examples["mt_bench"] for answer in example[4]}
    assert all(rating.startswith("rated ") for rating in ratings)
    # An import of what was exported shows the same texts, verdicts and scores.
    imported_examples = _examples_of_page(workplace, "alpaca-eval")["alpaca_eval_2"]
    shown = [
        {(example[1], *answer[:4]) for example in of for answer in example[4]}
        for of in (examples["alpaca_eval_2"], imported_examples)
    ]
    assert shown[0] == shown[1]


def test_missing_sources_are_named_before_anything_is_trained(judged: Judged) -> None:
    workplace = judged("http://127.0.0.1:9/v1", {"mirror": "empty"})
    (workplace.folder / "empty").mkdir()
    shutil.rmtree(workplace.folder / "cache")
    shutil.rmtree(workplace.store)
    stopped = workplace.run("run", "mini.yaml")
    assert stopped.returncode == 9
    assert "epa-bench suites fetch alpaca_eval_2" in stopped.stderr
    assert not (workplace.store / "cells").exists()


def test_gold_judge_is_refused(judged: Judged) -> None:
    workplace = judged("", {"judge": {"kind": "gold"}})
    stopped = workplace.run("run", "mini.yaml")
    assert stopped.returncode == 3
    assert "`suites.mt_bench`: asks a judge about texts that the gold judge knows nothing of" in stopped.stderr
