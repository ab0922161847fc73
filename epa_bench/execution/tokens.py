"""What cells take while they run: counted tokens, and GPUs by name. Bookkeeping only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Demand:
    """What a cell takes, and in which process it runs."""

    tokens: Mapping[str, int] = field(default_factory=dict)
    """Kind -> how many. More than there are count as all there are: such a cell runs with nothing beside it."""

    gpus: int = 0

    process: str = "compute"
    """Cells of one kind run in the same processes, one after another."""

    fresh: bool = False
    """In a process of its own, whose end frees the GPU's memory for sure."""

    after: frozenset[str] = frozenset()
    """Digests of cells that must have ended first, done or not, though nothing of them is read."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a running cell holds."""

    tokens: Mapping[str, int]

    gpus: tuple[str, ...]
    """For CUDA_VISIBLE_DEVICES. The lowest free ones, so that cells of equal demand get equal sets."""


class Tokens:
    """What there is, and what of it is free. Kinds that are not counted are free without end."""

    def __init__(self, totals: Mapping[str, int], gpus: Sequence[str] = ()) -> None:
        self._totals, self._free = dict(totals), dict(totals)
        self._gpus, self._taken = tuple(gpus), set[str]()

    def take(self, demand: Demand) -> Grant | None:
        """None where something of it is not free now."""
        assert demand.gpus <= len(self._gpus), f"{demand.gpus} GPUs asked for, there are {len(self._gpus)}"
        tokens = {kind: min(number, self._totals[kind]) for kind, number in demand.tokens.items() if kind in self._free}
        gpus = tuple(gpu for gpu in self._gpus if gpu not in self._taken)[: demand.gpus]
        if len(gpus) < demand.gpus or any(self._free[kind] < number for kind, number in tokens.items()):
            return None
        for kind, number in tokens.items():
            self._free[kind] -= number
        self._taken.update(gpus)
        return Grant(tokens, gpus)

    def give(self, grant: Grant) -> None:
        for kind, number in grant.tokens.items():
            self._free[kind] += number
        self._taken.difference_update(grant.gpus)
