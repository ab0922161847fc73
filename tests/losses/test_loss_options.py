"""Options of losses: names, ranges, defaults."""

import math

import pytest
import torch

from epa_bench.losses.spec import Option
from epa_bench.losses.table import LOSSES, get_loss
from tests.losses.groups import groups_of

OPTIONS = [(spec, option) for spec in LOSSES.values() for option in spec.options]
EVERY_OPTION = pytest.mark.parametrize(("spec", "option"), OPTIONS, ids=[f"{s.name}-{o.name}" for s, o in OPTIONS])


@pytest.mark.parametrize("value", [0, 0.2, 0.5, -0.1, math.nan])
def test_a_range_takes_what_it_says(value: float) -> None:
    half_open = Option("e", 0.1, "m", at_least=0, below=0.5)
    assert half_open.takes(value) == (0 <= value < 0.5)
    assert half_open.range == "at least 0 and below 0.5"
    assert Option("e", 0.1, "m", above=0).takes(value) == (value > 0)


def test_an_option_as_it_is_listed() -> None:
    assert str(Option("tau", 0.05, "width", above=0)) == "tau = 0.05 (above 0): width"


@EVERY_OPTION
def test_a_default_is_in_its_range(spec: object, option: Option) -> None:
    assert option.takes(option.default)


def test_every_option_changes_the_loss() -> None:
    """The function takes each by its name and uses it."""
    scores_GK = torch.tensor([[0.3, -0.4]])
    for spec, option in OPTIONS:
        groups = groups_of(scores_GK, weak=int(option.name == "weight_weak"), gold_GK=torch.tensor([[2.0, 1.0]]))
        changed = spec.load({option.name: option.default * 1.5})(groups)
        assert not torch.equal(changed, spec.load()(groups)), (spec.name, option.name)


def test_what_differs_from_the_default() -> None:
    epa = get_loss("epa")
    assert epa.changed({}) == {}
    assert epa.changed({"weight_weak": 1.0}) == {}
    assert epa.changed({"weight_weak": 2.0, "weight_strong": 1.0}) == {"weight_weak": 2.0}
    assert epa.resolved({"weight_weak": 2.0}) == {"weight_strong": 1.0, "weight_weak": 2.0, "weight_positive": 1.0}


@pytest.mark.parametrize(
    ("loss", "options", "problems"),
    [
        ("dpo", {"tau": 1}, [("tau", "the dpo loss has no such option; it has none")]),
        (
            "cdpo",
            {"label_smooting": 0.1},
            [("label_smooting", "the cdpo loss has no such option; did you mean `label_smoothing`?")],
        ),
        ("discopop", {"x": 1}, [("x", "the discopop loss has no such option; known: tau")]),
        (
            "exo_pair",
            {"label_smoothing": 0},
            [("label_smoothing", "the exo_pair loss takes a value above 0 and below 0.5, got 0")],
        ),
        ("cdpo", {"label_smoothing": 0}, []),
    ],
)
def test_problems(loss: str, options: dict[str, float], problems: list[tuple[str, str]]) -> None:
    assert list(get_loss(loss).problems(options)) == problems


def test_loading_with_an_option_the_loss_does_not_have_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="options are checked with the configuration"):
        get_loss("dpo").load({"tau": 1.0})
