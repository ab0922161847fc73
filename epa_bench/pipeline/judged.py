"""What a run's judges did: who, by which prompt, on how many answers, and how far their verdicts can be trusted."""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from epa_bench.config.judge import ApiJudge, RecordedJudge
from epa_bench.core.files import read_records
from epa_bench.core.records import Verdict
from epa_bench.judges.pair_summary import PairwiseSummary, summarise_pairs
from epa_bench.judges.records import MatchVerdict, PairwiseVerdict, RatingVerdict
from epa_bench.pipeline.run import Run
from epa_bench.pipeline.training_cells import Checkpoint
from epa_bench.suites.definitions import AlpacaEvalSuite, JudgedSuite, MtBenchSuite, PairwiseSuite
from epa_bench.suites.mt_bench_scores import Outcome, outcomes, score_outcomes

_PROMPT_DIGITS = 8


def judge_of_suite(run: Run, suite: JudgedSuite) -> str:
    """Judge, prompt, order and reference set: tables with different ones do not compare."""
    if isinstance(suite, PairwiseSuite):
        return run.sweep.judge.kind
    name = judge_name(run)
    if isinstance(suite, AlpacaEvalSuite):
        prompt = suite.sources["judge_prompt"].sha256[:_PROMPT_DIGITS]
        return f"{name} (prompt {prompt}, {suite.judging.reading}, {suite.judging.order} order)"
    prompts = suite.sources[suite.roles[2]].sha256[:_PROMPT_DIGITS]
    return f"{name} ({suite.mode}, prompts {prompts}, references {suite.references})"


def judge_name(run: Run) -> str:
    """Of a judge that was asked, loaded or recorded."""
    judge = run.sweep.judge
    if run.cells.local_judge is not None:
        return run.cells.local_judge.name
    assert isinstance(judge, ApiJudge | RecordedJudge)
    return judge.model if isinstance(judge, ApiJudge) else f"recorded {judge.path}"


def verdicts_file(run: Run, checkpoint: Checkpoint, suite: JudgedSuite) -> Path:
    """The rows of a checkpoint's verdicts. Raises StoreError where they are absent or damaged."""
    return run.store.open(run.cells.verdicts(checkpoint, suite)).file("verdicts.jsonl")


def judged_summary(run: Run, checkpoint: Checkpoint, suite: JudgedSuite) -> dict[str, Any]:
    """One line for the terminal: counts, and the mean in the unit of its metric."""
    metric, values = _values(run, checkpoint, suite)
    known = [value for value in values if value is not None]
    return {
        "judge": judge_of_suite(run, suite),
        "n": len(known),
        "failed": len(values) - len(known),
        "metric": metric,
        "mean": fmean(known) if known else None,
    }


def _values(run: Run, checkpoint: Checkpoint, suite: JudgedSuite) -> tuple[str, list[float | None]]:
    path = verdicts_file(run, checkpoint, suite)
    if isinstance(suite, MtBenchSuite):
        if suite.mode == "single":
            return "score", [row.rating for row in read_records(path, RatingVerdict)]
        shares = [outcomes(row)[0].share for row in read_records(path, MatchVerdict)]
        return "adjusted win rate (%)", [None if share is None else 100 * share for share in shares]
    kind = Verdict if isinstance(suite, PairwiseSuite) else PairwiseVerdict
    preferences = [row.preference for row in read_records(path, kind)]
    return "win rate (%)", [None if value is None else 100 * (value - 1) for value in preferences]


def judge_notes(run: Run) -> Iterator[str]:
    """For tables: how a judge went about the answers of all checkpoints of a suite."""
    for name, suite in run.cells.suites.items():
        if isinstance(suite, AlpacaEvalSuite):
            yield f"{name}, verdicts on all checkpoints: {_pairs(summarise_pairs(_pair_verdicts(run, suite)))}."
        elif isinstance(suite, MtBenchSuite) and suite.mode == "pair":
            yield f"{name}, matches of all checkpoints: {_matches(_outcomes(run, suite))}."


def _pair_verdicts(run: Run, suite: AlpacaEvalSuite) -> list[PairwiseVerdict]:
    return [
        verdict
        for checkpoint in run.cells.checkpoints
        for verdict in read_records(verdicts_file(run, checkpoint, suite), PairwiseVerdict)
    ]


def _outcomes(run: Run, suite: MtBenchSuite) -> list[Outcome]:
    return [
        outcomes(match)[0]
        for checkpoint in run.cells.evaluated(suite)
        for match in read_records(verdicts_file(run, checkpoint, suite), MatchVerdict)
    ]


def _pairs(summary: PairwiseSummary) -> str:
    parts = [f"{summary.verdicts} given, {_counted(summary.errors, 'failed')}", f"{summary.identical} of equal answers"]
    if summary.agreement is not None:
        parts.append(f"both orders agree in {summary.agreement:.1%} of {summary.both_orders}")
    if summary.first_wins is not None:
        parts.append(f"the answer shown first wins {summary.first_wins:.1%}")
    if summary.outside is not None:
        parts.append(
            f"probability outside the labels {summary.outside:.2%} on average, above a tenth in {summary.outside_large}"
        )
    parts.append(f"answers that speak to the judge: {_counted(summary.intrusions, '')}")
    return "; ".join(parts)


def _matches(results: list[Outcome]) -> str:
    scores = score_outcomes(results)
    rate = scores.inconsistency_rate
    said = "none judged" if rate is None else f"the orders name different winners in {rate.value:.1%} of {rate.n}"
    return f"{said}; {scores.n_errors} failed"


def _counted(counts: dict[str, int], what: str) -> str:
    listed = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    total = f"{sum(counts.values())} {what}".strip()
    return f"{total} ({listed})" if counts else total
