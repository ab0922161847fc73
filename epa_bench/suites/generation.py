"""What answers look like: length, how they end, repetition, and the gold reward where there is one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import GeneratedResponse, Prompt
from epa_bench.suites.values import Value

METRICS: Mapping[str, MetricInfo] = {
    "gold_reward": MetricInfo(label="gold reward", better="higher", headline=True),
    "length": MetricInfo(label="length", unit="tokens", digits=2),
    "ended": MetricInfo(label="ended by EOS", unit="%", scale=100, digits=1),
    "distinct_2": MetricInfo(label="distinct bigrams", unit="%", scale=100, digits=1),
}


def generation_values(
    responses: Iterable[GeneratedResponse], gold: Callable[[Prompt, str], float] | None
) -> Iterator[Value]:
    """distinct_2: distinct / all bigrams of words (Li et al. 2016, arXiv 1510.03055); an error below two words."""
    for response in responses:

        def row(metric: str, value: float, prompt_id: str = response.prompt_id) -> Value:
            return Value(metric=metric, prompt_id=prompt_id, value=value)

        if gold is not None:
            yield row("gold_reward", gold(response.prompt, response.text))
        yield row("length", float(response.tokens))
        yield row("ended", float(response.finish == "stop"))
        words = response.text.split()
        bigrams = list(pairwise(words))
        if bigrams:
            yield row("distinct_2", len(set(bigrams)) / len(bigrams))
        else:
            yield Value(metric="distinct_2", prompt_id=response.prompt_id, error="fewer than two words")
