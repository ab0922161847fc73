"""The sweep's grid: methods times their lists, each point an arm with a stable name."""

import itertools
from typing import Any

from pydantic import Field

from epa_bench.config.schema import Method, Sweep
from epa_bench.core.errors import ConfigError
from epa_bench.core.records import Record

_AXES = {
    "beta": "beta",
    "learning_rate": "lr",
    "strong": "s",
    "weak": "w",
    "weak_source": "",
    "weak_pool": "",
    "nll": "nll",
}
"""Fields of a method that multiply, and how each is written in an arm's name where it varies."""


class Arm(Record):
    """One point of the grid: what a checkpoint is trained by, but for the seed."""

    name: str
    method: str
    loss: str

    options: dict[str, float] = Field(default_factory=dict)
    """The loss's own numbers that differ from their defaults."""

    beta: float
    learning_rate: float
    strong: int
    weak: int
    weak_source: str
    weak_pool: str
    weak_prompt: str = "this"
    nll: float
    seeds: tuple[int, ...]

    def recipe(self) -> dict[str, Any]:
        """What decides the weights, whatever the arm is called."""
        recipe = self.model_dump(exclude={"name", "method", "seeds"})
        if not self.options:
            del recipe["options"]
        if self.weak == 0:
            del recipe["weak_source"], recipe["weak_pool"]
        if self.weak == 0 or self.weak_prompt == "this":
            del recipe["weak_prompt"]
        return recipe


def expand(sweep: Sweep) -> tuple[Arm, ...]:
    """The arms of a sweep, methods in the file's order, the last axis varying fastest.

    Raises ConfigError where a method has the name of another one's arm (`epa-w2` beside `epa` with weak: [1, 2]).
    """
    arms: dict[str, Arm] = {}
    for name, method in sweep.methods.items():
        for arm in _expand_method(name, method, method.seeds or sweep.seeds):
            other = arms.setdefault(arm.name, arm)
            if other is not arm:
                raise ConfigError(
                    f"`methods.{other.method}` and `methods.{name}` would both train an arm called `{arm.name}`; "
                    "rename one of them"
                )
    return tuple(arms.values())


def _expand_method(name: str, method: Method, seeds: tuple[int, ...]) -> list[Arm]:
    axes = {axis: getattr(method, axis) for axis in _AXES}
    arms = []
    for point in itertools.product(*axes.values()):
        values = dict(zip(axes, point, strict=True))
        varying = [f"{_AXES[axis]}{_short(values[axis])}" for axis in _AXES if len(axes[axis]) > 1]
        arm = "-".join([name, *varying])
        arms.append(
            Arm(
                name=arm,
                method=name,
                loss=method.loss,
                options=method.options,
                weak_prompt=method.weak_prompt,
                seeds=seeds,
                **values,
            )
        )
    return arms


def _short(value: object) -> str:
    """Every digit that tells one value from another."""
    return str(value).removesuffix(".0")
