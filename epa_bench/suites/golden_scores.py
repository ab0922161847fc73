"""Given answers, matches and log-probs through the scorers of suites, for golden values: see `golden.py`."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from epa_bench.core.digest import stable_seed
from epa_bench.core.metric import MetricInfo
from epa_bench.core.records import GeneratedResponse, Verdict
from epa_bench.data.embedded.families import make_prompts
from epa_bench.judges.gold import judge_by_gold
from epa_bench.judges.records import GameVerdict, MatchVerdict, Winner
from epa_bench.stats.length_controlled import GamedRows, ModelRows, lc_win_rates
from epa_bench.suites.kl import SampleLogps, kl_values
from epa_bench.suites.linearity import linearity_values
from epa_bench.suites.mt_bench_files import FIRST_QUESTION
from epa_bench.suites.mt_bench_scores import outcomes, score_outcomes
from epa_bench.suites.off_support import off_support_values
from epa_bench.suites.pairwise import pairwise_values
from epa_bench.suites.probes import ProbeItem, ScoredItem
from epa_bench.suites.reward_accuracy import reward_accuracy_values
from epa_bench.suites.values import Value

Floats = NDArray[np.float64]


def _share(label: str) -> MetricInfo:
    return MetricInfo(label=label, unit="%", scale=100, digits=6)


METRICS: Mapping[str, MetricInfo] = {
    "mt_bench_pairs": _share("MT-Bench's adjusted win rate of given matches"),
    "gold_win_rate": _share("given answers under the gold judge"),
    "lc_win_rate": _share("length-controlled win rate of given verdicts, C = 1"),
    "reward_accuracy": _share("reward accuracy of given log-probs"),
    "off_support_accuracy": _share("own above mismatched, of given log-probs"),
    "off_support_mass": _share("softmax mass of mismatched, of given log-probs"),
    "linearity_pearson": MetricInfo(label="Pearson of given log-probs", digits=9),
    "linearity_slope1_mse": MetricInfo(label="slope1_mse of given log-probs", digits=9),
    "kl_k1": MetricInfo(label="KL, k1, of given log-probs", unit="nats", digits=9),
    "kl_k3_tokens": MetricInfo(label="KL, k3 over tokens, of given log-probs", unit="nats", digits=9),
}

_ROWS, _OWN, _FOREIGN = 12, 3, 2
_MATCHES: tuple[tuple[Winner | None, Winner | None], ...] = (
    *(("output", "output"), ("baseline", "baseline"), ("tie", "tie"), ("output", "baseline")),
    # A tie in one order is no agreement; an order that was not read makes an error.
    *(("tie", "output"), ("output", "output"), ("output", None)),
)


def scorer_values() -> Iterator[Value]:
    """Every value of METRICS: the same whatever was trained."""
    yield Value(metric="mt_bench_pairs", prompt_id="all", value=adjusted_win_rate())
    yield from _named({"win_rate": "gold_win_rate"}, pairwise_values(_gold_verdicts()))
    yield Value(metric="lc_win_rate", prompt_id="all", value=length_controlled_win_rate())
    scored = list(given_items())
    yield from _named({"accuracy": "reward_accuracy"}, reward_accuracy_values(scored))
    off_support = {"accuracy": "off_support_accuracy", "mismatched_mass": "off_support_mass"}
    yield from _named(off_support, off_support_values(scored, _FOREIGN))
    linearity = {"pearson_all": "linearity_pearson", "slope1_mse_all": "linearity_slope1_mse"}
    yield from _named(linearity, linearity_values(scored, _FOREIGN))
    policy, reference = _given_samples("policy"), _given_samples("reference")
    yield from _named({"kl_k1": "kl_k1", "kl_k3_tokens": "kl_k3_tokens"}, kl_values(policy, reference))


def _named(names: Mapping[str, str], values: Iterable[Value]) -> Iterator[Value]:
    """Those of a scorer's values that are asked for, under the names of METRICS."""
    for value in values:
        if value.metric in names:
            yield value.model_copy(update={"metric": names[value.metric]})


def adjusted_win_rate() -> float | None:
    """Of the output's side of `_MATCHES`."""
    found = score_outcomes([outcomes(_match(number, *winners))[0] for number, winners in enumerate(_MATCHES)])
    return found.win_rate_adjusted.value if found.win_rate_adjusted else None


def _match(number: int, straight: Winner | None, swapped: Winner | None) -> MatchVerdict:
    error = None if straight and swapped else "not read on purpose"
    winner = None if error else straight if straight == swapped else "tie"
    games = (_game(False, straight), _game(True, swapped))
    return MatchVerdict(prompt_id=str(FIRST_QUESTION + number), winner=winner, error=error, games=games)


def _game(swapped: bool, winner: Winner | None) -> GameVerdict:
    return GameVerdict(swapped=swapped, winner=winner, error=None if winner else "not read on purpose")


def _gold_verdicts() -> Iterator[Verdict]:
    """The right answer, and every other time its words in the other order, against its first word alone."""
    for number, prompt in enumerate(make_prompts(_ROWS, 0, "evaluation")):
        words = prompt.answer.split()
        output, baseline = (
            GeneratedResponse(prompt_id=f"{number:02}", prompt=prompt.text, text=text, tokens=1, finish="stop")
            for text in (" ".join(words if number % 2 else words[::-1]), words[0])
        )
        yield judge_by_gold(output, baseline)


def length_controlled_win_rate() -> float:
    """The refit of the sample itself, 0 to 1."""
    win_P, length_P, difficulty_P = _drawn("length control", 3, 4 * _ROWS)
    gamed = GamedRows(*_drawn("gamed rows", 3, 4 * _ROWS))
    rows = ModelRows(win_P, np.floor(400 * (length_P - 0.5)), 2 * difficulty_P - 1)
    return float(lc_win_rates(rows, gamed, 1.0, np.ones((1, win_P.size)))[0])


def given_items() -> Iterator[ScoredItem]:
    """A prompt a row, each with its own responses and those of others; policy and gold reward agree more or less."""
    for row in range(_ROWS):
        gold_K, policy_K, reference_K, length_K = _drawn(f"row {row}", 4, _OWN + _FOREIGN)
        for k in range(_OWN + _FOREIGN):
            own = k if k < _OWN else None
            item = ProbeItem(
                prompt=f"prompt {row}",
                prompt_id=f"{row:02}",
                row=row,
                own=own,
                text="x" * (1 + int(20 * length_K[k])),
                gold=float(gold_K[k]) - k,
            )
            yield ScoredItem(
                item=item,
                logp=-20 - 10 * float(reference_K[k]) + 4 * float(policy_K[k]) - k,
                reference_logp=-20 - 10 * float(reference_K[k]),
                tokens=2 + k,
                beta=0.5,
            )


def _given_samples(of: str) -> list[SampleLogps]:
    """Answers of 4 tokens; the last could not be scored."""
    logps_RT = -2 * _drawn(of, _ROWS, 4)
    rows = [SampleLogps(prompt_id=f"{n:02}", key=f"{n}", logps=tuple(row)) for n, row in enumerate(logps_RT.tolist())]
    return [*rows, SampleLogps(prompt_id=f"{_ROWS:02}", key="none", error="not scored on purpose")]


def _drawn(name: str, *shape: int) -> Floats:
    """From 0 to 1."""
    return np.random.default_rng(stable_seed("golden scores", name)).random(shape)
