"""What is known of a loss without computing it: its metadata and its options. Imports no torch."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from epa_bench.losses.scores import GroupScores


@dataclass(frozen=True, slots=True)
class Option:
    """A number of a loss that `methods.NAME.options` may set."""

    name: str
    default: float

    meaning: str
    """One line for `epa-bench losses`."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None

    @property
    def range(self) -> str:
        """The values it takes, as text."""
        bounds = (("above", self.above), ("at least", self.at_least), ("below", self.below))
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None) or "any"

    def takes(self, value: float) -> bool:
        return (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        return f"{self.name} = {self.default:g} ({self.range}): {self.meaning}"


@dataclass(frozen=True, slots=True)
class LossSpec:
    """A loss of the table."""

    name: str

    summary: str
    """One line for `epa-bench losses`."""

    source: str
    """Authors, year, identifier and, where known, the equation."""

    entry: str
    """`module:function`, a function of `GroupScores` and the options, as keywords, to losses [G]."""

    step0: Callable[[GroupScores, Mapping[str, float]], Tensor] | None
    """The losses [G] that policy == reference must give, before any added term, from the counts, beta and the options
    alone. None where that depends on the model's own log-probs."""

    options: tuple[Option, ...] = ()

    min_strong: int = 1
    """Fewest strong negatives a group may be planned with; 0 where weak ones alone will do."""

    max_strong: int | None = 1
    """Most strong negatives a group may have; None is any number."""

    max_weak: int | None = 0
    """Most weak negatives a group may have; None is any number."""

    pushes_by_count: bool = False
    """With options at their defaults, the positive's weight at step 0 is (S + W) / (1 + S + W), as in one softmax over
    equal candidates: what `control: learning_rate` matches."""

    couples_batch: bool = False
    """A group's loss depends on the other groups of the micro-batch, so results change with its size."""

    reference_free: bool = False
    """Reference log-probs do not enter the loss."""

    needs_gold: bool = False
    """Every response must have a gold score."""

    @property
    def uses_weak(self) -> bool:
        """Weak negatives are part of the method."""
        return self.max_weak != 0

    def resolved(self, options: Mapping[str, float]) -> dict[str, float]:
        """All options, defaults where none is given."""
        assert not list(self.problems(options)), f"options are checked with the configuration, got {dict(options)}"
        return {option.name: options.get(option.name, option.default) for option in self.options}

    def changed(self, options: Mapping[str, float]) -> dict[str, float]:
        """Those that differ from their default."""
        return {o.name: options[o.name] for o in self.options if options.get(o.name, o.default) != o.default}

    def problems(self, options: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        """(option, what is wrong with it): a name the loss does not have, or a value out of its range."""
        known = {option.name: option for option in self.options}
        for name, value in options.items():
            if name not in known:
                yield name, f"the {self.name} loss has no such option{_known(name, list(known))}"
            elif not known[name].takes(value):
                yield name, f"the {self.name} loss takes a value {known[name].range}, got {value:g}"

    def load(self, options: Mapping[str, float] | None = None) -> Callable[[GroupScores], Tensor]:
        """The function itself with its options set; imports torch."""
        module, _, function = self.entry.partition(":")
        loaded: Callable[..., Tensor] = getattr(import_module(module), function)
        return partial(loaded, **self.resolved(options or {}))


def _known(name: str, known: list[str]) -> str:
    if not known:
        return "; it has none"
    nearest = difflib.get_close_matches(name.lower(), known, n=1)
    return f"; did you mean `{nearest[0]}`?" if nearest else f"; known: {', '.join(known)}"
