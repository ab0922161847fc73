"""What the table of losses says of a sweep's methods, controls filled in."""

from collections.abc import Iterator
from typing import Any

import pytest

from epa_bench.config.load import load_sweep
from epa_bench.config.yaml12 import load_document
from epa_bench.core.errors import ConfigError
from epa_bench.losses.table import LOSSES
from epa_bench.pipeline.checks import check_controls, check_losses, check_step_size

HEAD = "name: demo\nreference: {kind: scratch}\ndata: {kind: embedded}\nmethods:\n"


def problems(*methods: str) -> Iterator[str]:
    text = HEAD + "".join(f"  {method}\n" for method in methods)
    try:
        load_sweep(load_document(text, "f"), (), [check_losses, check_controls, check_step_size])
    except ConfigError as error:
        yield from (line.strip() for line in str(error).splitlines()[1:])


def test_losses_that_do_with_weak_negatives_alone() -> None:
    assert [spec.name for spec in LOSSES.values() if spec.min_strong == 0] == ["epa"]
    assert list(problems("a: {loss: epa, strong: 0, weak: 2}")) == []


@pytest.mark.parametrize("loss", ["dpo", "sdpo", "infonca", "ipo", "simpo"])
def test_a_loss_that_needs_a_strong_negative(loss: str) -> None:
    (found,) = (line for line in problems(f"a: {{loss: {loss}, strong: [1, 0], weak: 2}}") if "a.strong" in line)
    assert found == (
        f"f:5: `methods.a.strong`: the {loss} loss needs at least 1, got 0; raise it, or choose a loss that does with "
        "weak negatives alone, such as epa"
    )


def test_every_control_of_epa_passes() -> None:
    names = ("learning_rate", "nll", "strong_only", "weak_only", "own_prompt")
    controls = [f"{name}: {{control_of: epa, control: {name}}}" for name in names]
    assert list(problems("epa: {loss: epa, weak: [2, 6]}", *controls)) == []


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("loss: infonca, strong: 3", "how far the infonca loss of `m` pushes"),
        ("loss: epa, weak: 2, options: {weight_weak: 0.5}", "how far with weight_weak, the epa loss of `m` pushes"),
    ],
)
def test_a_rate_is_matched_only_where_it_follows_from_counts(method: str, what: str) -> None:
    (found,) = problems(f"m: {{{method}}}", "c: {control_of: m, control: learning_rate}")
    assert found.startswith("f:6: `methods.c.control`: ")
    assert what in found


@pytest.mark.parametrize("method", ["loss: sdpo, strong: 3", "loss: epa, weak: 2, options: {weight_weak: 1}"])
def test_a_rate_that_is_matched(method: str) -> None:
    """An option written out at its default changes nothing."""
    assert list(problems(f"m: {{{method}}}", "c: {control_of: m, control: learning_rate}")) == []


def test_a_problem_of_a_method_is_not_told_of_its_controls() -> None:
    found = list(problems("m: {loss: epaa, weak: 2}", "c: {control_of: m, control: weak_only}"))
    assert len(found) == 1
    assert found[0].startswith("f:5: `methods.m.loss`: expected one of epa, dpo")
    found = list(problems("m: {loss: epa, weak: 99}", "c: {control_of: m, control: own_prompt, beta: 0.2}"))
    assert [line.split(":")[1] for line in found] == ["5"]


def test_a_control_that_brings_a_problem_itself_tells_it() -> None:
    (found,) = problems(
        "m: {loss: epa, weak: 99, weak_pool: dataset}", "c: {control_of: m, control: own_prompt, weak_pool: step}"
    )
    assert found.startswith("f:6: `methods.c.weak`: 99 weak negatives")


STRANGE = {"control": "learning_rate", "control_of": "a", "strong": "x", "weak": None, "options": 3}


@pytest.mark.parametrize(
    "methods", [None, 3, {"a": 3, "c": STRANGE}, {"c": STRANGE}, {"a": {"loss": 3}, "c": STRANGE}, {"a": STRANGE}]
)
def test_any_shape_is_stood(methods: Any) -> None:
    for check in (check_losses, check_controls, check_step_size):
        assert list(check({"methods": methods})) == []
