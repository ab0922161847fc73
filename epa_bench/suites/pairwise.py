"""AlpacaEval's protocol: win rates from verdicts."""

from collections.abc import Iterable, Iterator, Mapping

from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import Verdict
from epa_bench.suites.values import Value

METRICS: Mapping[str, MetricInfo] = {
    "win_rate": MetricInfo(label="win rate", unit="%", better="higher", scale=100, digits=1, headline=True),
    "discrete_win_rate": MetricInfo(label="discrete win rate", unit="%", better="higher", scale=100, digits=1),
}


def pairwise_values(verdicts: Iterable[Verdict]) -> Iterator[Value]:
    """win_rate: preference - 1; discrete_win_rate: 1, 0 or 1/2 for a draw. As in alpaca_eval, but per prompt."""
    for verdict in verdicts:
        for metric in METRICS:
            if verdict.preference is None:
                yield Value(metric=metric, prompt_id=verdict.prompt_id, error=verdict.error)
                continue
            share = verdict.preference - 1
            discrete = 0.5 if share == 0.5 else float(share > 0.5)
            value = share if metric == "win_rate" else discrete
            yield Value(metric=metric, prompt_id=verdict.prompt_id, value=value)
