"""Win rates from verdicts."""

from epa_bench.core.records import Verdict
from epa_bench.suites.pairwise import pairwise_values
from epa_bench.suites.values import Value


def verdict(prompt: str, preference: float | None, error: str | None = None) -> Verdict:
    return Verdict(prompt_id=prompt, output="o", baseline="b", preference=preference, error=error)


def test_win_rate_and_its_discrete_form() -> None:
    """Preferences 1.75, 1.5, 1 and 1.5000001: mean win rate (.75 + .5 + 0 + .5000001) / 4; discrete 1, 1/2, 0, 1."""
    rows = list(pairwise_values([verdict("a", 1.75), verdict("b", 1.5), verdict("c", 1.0), verdict("d", 1.5000001)]))
    by_metric = {
        metric: [row.value for row in rows if row.metric == metric] for metric in ("win_rate", "discrete_win_rate")
    }
    assert by_metric["win_rate"] == [0.75, 0.5, 0.0, 1.5000001 - 1]
    assert by_metric["discrete_win_rate"] == [1.0, 0.5, 0.0, 1.0]
    assert [row.prompt_id for row in rows] == ["a", "a", "b", "b", "c", "c", "d", "d"]


def test_failed_verdict_is_an_error_of_both_metrics() -> None:
    assert list(pairwise_values([verdict("a", None, "no verdict found")])) == [
        Value(metric="win_rate", prompt_id="a", error="no verdict found"),
        Value(metric="discrete_win_rate", prompt_id="a", error="no verdict found"),
    ]
