"""Choosing the rows of a pool to label next."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from epa_bench.acquisition.model import AcquisitionModel, Array, VapSettings
from epa_bench.acquisition.representations import Representation, get_representation
from epa_bench.acquisition.selectors import Selector, get_selector, row_norms
from epa_bench.core.digest import stable_seed
from epa_bench.core.errors import CheckpointError, ConfigError, DataError
from epa_bench.core.records import Finite, Record
from epa_bench.data.pool import Pool


class Chosen(Record):
    """A row to label, and why."""

    row: int
    """Index in the pool."""

    key: str
    """Digest of the row's content."""

    rank: int
    """From 1, the order of the selection."""

    score: Finite
    """The representation's score, or the length of its vector; of `random` the number that was drawn."""

    cluster: int | None
    """Of a row chosen for its cluster."""


class Acquisition(Record):
    """What was chosen from what."""

    representation: str
    selector: str
    budget: int
    seed: int

    pool: int
    """Rows, of which some were left out:"""

    labelled: int
    """that are labelled already,"""

    repeated: int
    """that repeat an earlier row of the pool."""

    chosen: tuple[Chosen, ...]


def acquire(
    pool: Pool,
    model: AcquisitionModel[Any] | None,
    labelled: Collection[str],
    budget: int,
    seed: int,
    *,
    representation: str = "vap",
    selector: str | None = None,
    vap: VapSettings | None = None,
) -> Acquisition:
    """Chooses `budget` rows of the pool that are not `labelled` (keys), for the model as it is trained so far.

    `selector`: by default the representation's own. What is chosen depends on the set of rows, not on their order in
    the pool. Raises ConfigError for names that are not in the tables or do not go together, DataError for a pool of
    fewer unlabelled rows than the budget, CheckpointError where the model gives numbers that are not finite.
    """
    spec = get_representation(representation)
    chooser = get_selector(selector or spec.selector)
    _check(spec, chooser, model, budget)
    fresh, repeated = _fresh(pool, labelled)
    if len(fresh) < budget:
        raise DataError(
            f"expected a pool of {budget} or more unlabelled rows, the budget, got {len(fresh)}: of {len(pool)} rows "
            f"{len(pool) - len(fresh) - repeated} are labelled and {repeated} repeat another; lower the budget, or "
            "give more rows"
        )
    # A random order that belongs to the rows: the pool's own decides nothing, not even between equal scores.
    drawn = {row: stable_seed("acquire", seed, pool[row].key) for row in fresh}
    order = sorted(fresh, key=lambda row: (drawn[row], pool[row].key))
    if spec.of is None:
        values = np.array([1 - drawn[row] / 2**63 for row in order], dtype=np.float32)
    else:
        values = spec.of(_given(model), [pool[row] for row in order], vap or VapSettings(), seed)
        _check_finite(values, spec.name)
    selected = chooser.select(values, budget, stable_seed("selector", seed))
    scores = (values if values.ndim == 1 else row_norms(values)).tolist()
    chosen = tuple(
        Chosen(row=order[place], key=pool[order[place]].key, rank=rank, score=scores[place], cluster=cluster)
        for rank, (place, cluster) in enumerate(zip(selected.rows_K, selected.clusters_K, strict=True), 1)
    )
    return Acquisition(
        representation=spec.name,
        selector=chooser.name,
        budget=budget,
        seed=seed,
        pool=len(pool),
        labelled=len(pool) - len(fresh) - repeated,
        repeated=repeated,
        chosen=chosen,
    )


def _check(spec: Representation, chooser: Selector, model: AcquisitionModel[Any] | None, budget: int) -> None:
    if budget < 1:
        raise ConfigError(f"expected a budget of 1 or more rows, got {budget}")
    if chooser.needs_vectors and spec.kind != "vector":
        raise ConfigError(f"{chooser.name} selects among vectors, and {spec.name} gives each row a number; use top-k")
    if spec.name == "features" and not chooser.needs_vectors:
        raise ConfigError("the length of hidden states says nothing about a row; select features by k-means")
    if spec.of is not None and model is None:
        raise ConfigError(f"{spec.name} needs a model; name one, or choose at random")


def _given(model: AcquisitionModel[Any] | None) -> AcquisitionModel[Any]:
    assert model is not None
    return model


def _fresh(pool: Pool, labelled: Collection[str]) -> tuple[list[int], int]:
    """(rows that are not labelled and repeat none before, number of repetitions among the unlabelled)."""
    known = frozenset(labelled)
    counts: Counter[str] = Counter()
    fresh = []
    for index, row in enumerate(pool):
        if row.key in known:
            continue
        if counts[row.key] == 0:
            fresh.append(index)
        counts[row.key] += 1
    return fresh, counts.total() - len(fresh)


def _check_finite(values: Array, name: str) -> None:
    bad: Sequence[Any] = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1)).tolist()
    if bad:
        raise CheckpointError(
            f"the model's {name} is not finite for {len(bad)} of {len(values)} rows; its weights are damaged, or it "
            "was trained at too high a learning rate"
        )
