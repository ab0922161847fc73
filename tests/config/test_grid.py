"""The grid: which arms, in which order, under which names, and what decides their weights."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.config.grid import Arm, expand
from epa_bench.config.load import load_sweep
from epa_bench.config.schema import EmbeddedData, Method, ScratchReference, Sweep
from epa_bench.config.yaml12 import load_document
from epa_bench.core.errors import ConfigError


def sweep_of(methods: dict[str, Method]) -> Sweep:
    return Sweep(
        name="demo", reference=ScratchReference(kind="scratch"), data=EmbeddedData(kind="embedded"), methods=methods
    )


def arms_of(**settings: Any) -> tuple[Arm, ...]:
    return expand(sweep_of({"epa": Method(loss="epa", **settings)}))


def test_single_values_leave_the_method_its_name() -> None:
    (arm,) = arms_of(beta=0.3, weak=2)
    assert arm == Arm(
        name="epa",
        method="epa",
        loss="epa",
        beta=0.3,
        learning_rate=5e-7,
        strong=1,
        weak=2,
        weak_source="both",
        weak_pool="step",
        nll=0.0,
        seeds=(1, 2, 3),
    )


def test_lists_multiply_and_the_last_axis_varies_fastest() -> None:
    arms = arms_of(beta=[0.1, 0.3], weak=[0, 2])
    assert [(arm.name, arm.beta, arm.weak) for arm in arms] == [
        ("epa-beta0.1-w0", 0.1, 0),
        ("epa-beta0.1-w2", 0.1, 2),
        ("epa-beta0.3-w0", 0.3, 0),
        ("epa-beta0.3-w2", 0.3, 2),
    ]


def test_every_axis_has_its_part_of_the_name() -> None:
    arms = arms_of(
        beta=[0.1, 1.0],
        learning_rate=[5e-7, 1e-6],
        strong=[1, 3],
        weak=[1, 2],
        weak_source=["chosen", "both"],
        weak_pool=["step", "dataset"],
        nll=[0.0, 0.5],
    )
    assert len(arms) == 2**7
    assert arms[0].name == "epa-beta0.1-lr5e-07-s1-w1-chosen-step-nll0"
    assert arms[-1].name == "epa-beta1-lr1e-06-s3-w2-both-dataset-nll0.5"


def test_methods_come_in_the_order_of_the_file() -> None:
    methods = {"z": Method(loss="dpo"), "a": Method(loss="dpo"), "m": Method(loss="dpo", beta=(0.3, 0.1))}
    assert [arm.name for arm in expand(sweep_of(methods))] == ["z", "a", "m-beta0.3", "m-beta0.1"]


def test_a_method_may_have_its_own_seeds() -> None:
    methods = {"dpo": Method(loss="dpo"), "epa": Method(loss="epa", seeds=(7, 0))}
    assert [arm.seeds for arm in expand(sweep_of(methods))] == [(1, 2, 3), (7, 0)]


@pytest.mark.parametrize("values", [(0.1234567, 0.1234568), (1e6, 1000001.0), (0.1, math.nextafter(0.1, 1))])
def test_close_values_have_different_names(values: tuple[float, ...]) -> None:
    assert len({arm.name for arm in arms_of(beta=values)}) == 2


NUMBERS = st.lists(st.floats(1e-300, 1e300) | st.floats(1e-9, 10), min_size=1, max_size=4, unique=True)


@given(NUMBERS, NUMBERS, st.lists(st.integers(0, 30), min_size=1, max_size=3, unique=True))
def test_names_are_unique_and_every_point_is_there(betas: list[float], rates: list[float], weak: list[int]) -> None:
    arms = arms_of(beta=betas, learning_rate=rates, weak=weak)
    assert [(arm.beta, arm.learning_rate, arm.weak) for arm in arms] == list(itertools.product(betas, rates, weak))
    assert len({arm.name for arm in arms}) == len(arms)


@pytest.mark.parametrize("names", [("epa", "epa-beta0.1"), ("epa-beta0.1", "epa")])
def test_a_method_called_as_an_arm_of_another_is_refused(names: tuple[str, str]) -> None:
    grid, single = Method(loss="epa", beta=(0.1, 0.3)), Method(loss="dpo")
    methods = {name: grid if name == "epa" else single for name in names}
    with pytest.raises(ConfigError, match=r"`epa-beta0\.1`; rename") as caught:
        expand(sweep_of(methods))
    assert all(f"`methods.{name}`" in str(caught.value) for name in names)


def test_two_grids_that_meet_are_refused() -> None:
    methods = {"epa": Method(loss="epa", strong=(1, 2), weak=(1, 2)), "epa-s1": Method(loss="epa", weak=(1, 3))}
    with pytest.raises(ConfigError, match="`epa-s1-w1`"):
        expand(sweep_of(methods))


def test_names_that_meet_are_a_problem_of_the_file() -> None:
    text = """\
name: demo
reference: {kind: scratch}
data: {kind: embedded}
methods:
  epa: {loss: epa, weak: [1, 2]}
  epa-w2: {loss: epa}
"""
    with pytest.raises(ConfigError) as caught:
        load_sweep(load_document(text, "f"), (), [lambda raw: [(("name",), "taken")]])
    assert str(caught.value).splitlines() == [
        "2 problems in f:",
        "  f:1: taken",
        "  f:4: `methods.epa` and `methods.epa-w2` would both train an arm called `epa-w2`; rename one of them",
    ]


def test_recipe_is_what_decides_the_weights() -> None:
    (arm,) = arms_of(beta=1, weak=2)
    assert arm.recipe() == {
        "loss": "epa",
        "beta": 1.0,
        "learning_rate": 5e-7,
        "strong": 1,
        "weak": 2,
        "weak_source": "both",
        "weak_pool": "step",
        "nll": 0.0,
    }
    assert type(arm.recipe()["beta"]) is float


def test_recipe_ignores_name_method_and_seeds() -> None:
    methods = {"a": Method(loss="dpo"), "b": Method(loss="dpo", seeds=(9,))}
    first, second = expand(sweep_of(methods))
    assert first.recipe() == second.recipe()


def test_recipe_without_weak_negatives_ignores_where_they_would_come_from() -> None:
    plain, *others = arms_of(weak=0, weak_source=["both", "chosen"], weak_pool=["step", "dataset"])
    assert all(other.recipe() == plain.recipe() for other in others)
    assert len({str(arm.recipe()) for arm in arms_of(weak=1, weak_source=["both", "chosen"])}) == 2


def test_options_are_part_of_a_recipe_only_where_there_are_any() -> None:
    assert "options" not in arms_of()[0].recipe()
    (arm,) = arms_of(options={"weight_weak": 0.5})
    assert arm.recipe()["options"] == {"weight_weak": 0.5}


@pytest.mark.parametrize(
    "change",
    [{"beta": 0.2}, {"learning_rate": 1e-6}, {"strong": 2}, {"weak": 1}, {"nll": 0.1}, {"weak_pool": "dataset"}],
)
def test_any_other_setting_is_another_recipe(change: dict[str, Any]) -> None:
    (arm,) = arms_of(weak=2)
    (other,) = arms_of(**{"weak": 2, **change})
    assert arm.recipe() != other.recipe()
