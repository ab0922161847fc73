"""The embedded task's gold reward for steps that may or may not have one."""

from collections.abc import Callable, Mapping
from typing import Any

from epa_bench.core.records import Prompt
from epa_bench.data.embedded.gold import gold_reward


def gold_of(config: Mapping[str, Any]) -> Callable[[Prompt, str], float] | None:
    """The gold reward where the cell's data are the embedded task's, else None."""
    return _gold if config["gold"] else None


def _gold(prompt: Prompt, response: str) -> float:
    return gold_reward(prompt if isinstance(prompt, str) else prompt[-1].content, response)
