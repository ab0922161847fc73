"""The gold judge: the embedded task's programmatic reward, through Bradley-Terry."""

import math

from epa_bench.core.records import GeneratedResponse, Verdict
from epa_bench.data.embedded.gold import gold_reward


def judge_by_gold(output: GeneratedResponse, baseline: GeneratedResponse) -> Verdict:
    """preference = 1 + sigmoid(gold(output) - gold(baseline)), 1.5 exactly for equal texts.

    AlpacaEval's scale with the probability in place of a weighted judge's: it has no position effect, so both orders
    are one. The gold reward is defined for any text, so a verdict never fails.
    """
    prompt = output.prompt if isinstance(output.prompt, str) else output.prompt[-1].content
    gap = gold_reward(prompt, output.text) - gold_reward(prompt, baseline.text)
    return Verdict(
        prompt_id=output.prompt_id,
        output=output.text,
        baseline=baseline.text,
        preference=1 + 1 / (1 + math.exp(-gap)),
    )
