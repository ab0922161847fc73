"""Held-out reward accuracy: does the implicit reward put the chosen response above the rejected ones?"""

from collections.abc import Iterable, Iterator, Mapping

from epa_bench.core.metric import MetricInfo
from epa_bench.suites.probes import ScoredItem
from epa_bench.suites.values import Value

METRICS: Mapping[str, MetricInfo] = {
    "accuracy": MetricInfo(label="reward accuracy", unit="%", better="higher", scale=100, digits=1, headline=True),
    "accuracy_tie_aware": MetricInfo(label="accuracy, ties 1/2", unit="%", better="higher", scale=100, digits=1),
    "accuracy_on_gold_ties": MetricInfo(label="accuracy on gold ties", unit="%", scale=100, digits=1),
    "gold_accuracy": MetricInfo(label="agreement with gold order", unit="%", better="higher", scale=100, digits=1),
    "margin": MetricInfo(label="reward margin", unit="nats", better="none"),
}


def reward_accuracy_values(scored: Iterable[ScoredItem]) -> Iterator[Value]:
    """For each pair (chosen, rejected) of a row, with d the difference of implicit rewards:

    - accuracy: d > 0, strictly; accuracy_tie_aware: d = 0 counts 1/2; margin: d. Pairs whose gold scores are equal
      have no right answer and are left to accuracy_on_gold_ties.
    - gold_accuracy: whether d has the sign of the gold gap, where both scores are known and differ; labels and gold
      scores may disagree (noise in the labels).
    """
    rows: dict[int, list[ScoredItem]] = {}
    for scored_item in scored:
        if scored_item.item.own is not None:
            rows.setdefault(scored_item.item.row, []).append(scored_item)
    for row, (chosen, *rejected) in sorted(rows.items()):
        for negative in rejected:
            yield from _pair_values(chosen, negative, item=1000 * row + (negative.item.own or 0))


def _pair_values(chosen: ScoredItem, rejected: ScoredItem, item: int) -> Iterator[Value]:
    def value(metric: str, number: float) -> Value:
        return Value(metric=metric, prompt_id=chosen.item.prompt_id, item=item, value=number)

    margin = chosen.reward - rejected.reward
    gap = _gap(chosen, rejected)
    if gap == 0:
        yield value("accuracy_on_gold_ties", float(margin > 0))
        return
    yield value("accuracy", float(margin > 0))
    yield value("accuracy_tie_aware", 0.5 if margin == 0 else float(margin > 0))
    yield value("margin", margin)
    if gap is not None:
        yield value("gold_accuracy", float(margin * gap > 0))


def _gap(chosen: ScoredItem, rejected: ScoredItem) -> float | None:
    if chosen.item.gold is None or rejected.item.gold is None:
        return None
    return chosen.item.gold - rejected.item.gold
