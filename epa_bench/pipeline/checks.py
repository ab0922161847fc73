"""Checks of a raw sweep against registries that its schema does not know."""

from collections.abc import Iterator
from typing import Any

from epa_bench.config.yaml12 import Location
from epa_bench.core.errors import ConfigError
from epa_bench.losses.table import LossSpec, get_loss


def check_losses(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """Unknown losses, and more strong or weak negatives than a loss can take."""
    for name, method in _methods(raw).items():
        loss = method.get("loss")
        if not isinstance(loss, str):
            continue
        try:
            spec = get_loss(loss)
        except ConfigError as error:
            yield ("methods", name, "loss"), f"`methods.{name}.{error}"
            continue
        yield from _check_counts(name, method, spec)


def _check_counts(name: str, method: dict[str, Any], spec: LossSpec) -> Iterator[tuple[Location, str]]:
    for key, limit, default in (("strong", spec.max_strong, 1), ("weak", spec.max_weak, 0)):
        counts = method.get(key, default)
        for count in counts if isinstance(counts, list) else [counts]:
            if limit is not None and isinstance(count, int) and count > limit:
                yield (
                    ("methods", name, key),
                    f"`methods.{name}.{key}`: the {spec.name} loss takes at most {limit}, got {count}; "
                    "lower it, or choose a loss for several negatives, such as epa",
                )


def check_baseline(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """The table's baseline is one of the methods."""
    table = raw.get("table", {})
    baseline = table.get("baseline", "dpo") if isinstance(table, dict) else None
    methods = _methods(raw)
    if isinstance(baseline, str) and methods and baseline not in methods:
        yield (
            ("table", "baseline"),
            f"`table.baseline`: no method is called {baseline!r}; choose one of {', '.join(methods)}",
        )


def _methods(raw: dict[str, Any]) -> dict[str, dict[str, Any]]:
    methods = raw.get("methods")
    if not isinstance(methods, dict):
        return {}
    return {name: method for name, method in methods.items() if isinstance(method, dict)}
