"""Controls: what each becomes, that it follows every point of the grid, and every way to declare one wrongly."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.config.grid import Arm, expand
from epa_bench.config.load import LoadedSweep, load_sweep
from epa_bench.config.schema import Method
from epa_bench.config.yaml12 import load_document
from epa_bench.core.errors import ConfigError

Problems = Callable[..., list[str]]

HEAD = """\
name: demo
reference: {kind: scratch}
data: {kind: embedded}
methods:
  dpo: {loss: dpo, beta: 0.5, learning_rate: 2e-4}
"""
EPA = (
    "  epa: {loss: epa, beta: 0.5, learning_rate: 2e-4, strong: 1, weak: 2, options: {weight_weak: 0.5}, seeds: [5]}\n"
)
"""On line 6; the control that a test adds is on line 7."""


def load(*methods: str) -> LoadedSweep:
    return load_sweep(load_document(HEAD + "".join(methods), "f.yaml"))


def control(settings: str, method: str = EPA) -> Method:
    """What `c` becomes as a control of `epa`."""
    return load(method, f"  c: {{control_of: epa, {settings}}}\n").config.methods["c"]


def arms_of(settings: str, method: str) -> list[Arm]:
    sweep = load(method, f"  c: {{control_of: epa, {settings}}}\n").config
    return [arm for arm in expand(sweep) if arm.method == "c"]


# What each becomes


def test_learning_rate_is_dpo_that_pushes_as_far() -> None:
    """1:1:2: (3/4) / (1/2)."""
    assert control("control: learning_rate") == Method(
        control_of="epa", control="learning_rate", loss="dpo", beta=(0.5,), learning_rate=(3e-4,), seeds=(5,)
    )


@pytest.mark.parametrize(
    ("strong", "weak", "rate"),
    # S + W over 1 + S + W, twice: 2, 3, 4, 7 negatives; 2e-4 times 4/3, 3/2, 8/5, 7/4.
    [
        (1, 1, 2e-4 * 4 / 3),
        (2, 0, 2e-4 * 4 / 3),
        (1, 2, 3e-4),
        (3, 0, 3e-4),
        (0, 3, 3e-4),
        (2, 2, 3.2e-4),
        (1, 6, 3.5e-4),
    ],
)
def test_matched_rates_by_hand(strong: int, weak: int, rate: float) -> None:
    method = f"  epa: {{loss: epa, learning_rate: 2e-4, strong: {strong}, weak: {weak}}}\n"
    (found,) = control("control: learning_rate", method).learning_rate
    assert found == pytest.approx(rate, rel=1e-15)


def test_a_matched_rate_is_the_number_a_reader_would_write() -> None:
    """2e-4 * 1.5 is 0.00030000000000000003 in binary: another arm's name, and another cell than 3e-4."""
    assert 2e-4 * 1.5 != 3e-4
    assert control("control: learning_rate").learning_rate == (3e-4,)


def test_nll_is_dpo_with_the_term() -> None:
    assert control("control: nll") == Method(
        control_of="epa", control="nll", loss="dpo", beta=(0.5,), learning_rate=(2e-4,), nll=(0.2,), seeds=(5,)
    )
    assert control("control: nll, nll: 0.05").nll == (0.05,)
    assert control("control: nll, nll: [1, 2]").nll == (1.0, 2.0)


def test_nll_keeps_the_weight_of_a_method_that_has_the_term() -> None:
    assert control("control: nll", "  epa: {loss: epa, weak: 2, nll: 0.7}\n").nll == (0.7,)
    assert control("control: nll", "  epa: {loss: epa, weak: 2, nll: [0, 0.7]}\n").nll == (0.2,)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("strong_only", {"weak": (0,)}), ("weak_only", {"strong": (0,)}), ("own_prompt", {"weak_prompt": "own"})],
)
def test_the_others_change_one_thing(name: str, changes: dict[str, Any]) -> None:
    sweep = load(EPA, f"  c: {{control_of: epa, control: {name}}}\n").config
    labels = {"control_of": "epa", "control": name}
    assert sweep.methods["c"] == sweep.methods["epa"].model_copy(update={**labels, **changes})


def test_what_a_control_gives_is_kept() -> None:
    found = control("control: own_prompt, beta: 0.1, seeds: [1, 2], weak_pool: dataset, options: {}")
    assert (found.beta, found.seeds, found.weak_pool, found.options) == ((0.1,), (1, 2), ("dataset",), {})
    assert found.learning_rate == (2e-4,)


def test_a_control_may_stand_before_its_method() -> None:
    sweep = load("  c: {control_of: epa, control: weak_only}\n", EPA).config
    assert list(sweep.methods) == ["dpo", "c", "epa"]
    assert sweep.methods["c"].strong == (0,)


def test_overrides_of_the_method_reach_its_controls() -> None:
    text = HEAD + EPA + "  c: {control_of: epa, control: learning_rate}\n"
    found = load_sweep(load_document(text, "f.yaml"), ["methods.epa.weak=6", "methods.epa.beta=0.1"]).config.methods[
        "c"
    ]
    assert (found.learning_rate, found.beta) == ((3.5e-4,), (0.1,))


# The grid

GRID = "  epa: {loss: epa, beta: [0.1, 0.5], learning_rate: [2e-4, 1e-3], weak: [2, 6], weak_source: [chosen, both]}\n"


def test_a_control_follows_every_point_of_the_grid() -> None:
    assert len(arms_of("control: own_prompt", GRID)) == 16
    weak_only = arms_of("control: weak_only", GRID)
    assert {(arm.beta, arm.learning_rate, arm.weak, arm.weak_source) for arm in weak_only} == {
        (beta, rate, weak, source)
        for beta in (0.1, 0.5)
        for rate in (2e-4, 1e-3)
        for weak in (2, 6)
        for source in ("chosen", "both")
    }
    rates = {(arm.beta, arm.learning_rate) for arm in arms_of("control: learning_rate", GRID)}
    assert rates == {(beta, rate) for beta in (0.1, 0.5) for rate in (3e-4, 3.5e-4, 1.5e-3, 1.75e-3)}


@pytest.mark.parametrize(("name", "arms"), [("strong_only", 4), ("nll", 4), ("learning_rate", 8)])
def test_no_two_arms_of_a_control_are_the_same_training(name: str, arms: int) -> None:
    """Where none is drawn, the source of weak negatives multiplies nothing."""
    found = arms_of(f"control: {name}", GRID)
    assert len({str(arm.recipe()) for arm in found}) == len(found) == arms


def test_points_with_as_many_negatives_share_a_rate() -> None:
    assert len(arms_of("control: learning_rate", "  epa: {loss: epa, strong: [1, 2], weak: [1, 2]}\n")) == 3


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True),
    st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True),
    st.lists(st.floats(1e-9, 1), min_size=1, max_size=3, unique=True),
)
def test_every_matched_rate_pushes_as_far_as_its_point(strong: list[int], weak: list[int], rates: list[float]) -> None:
    if any(s + w == 1 for s in strong for w in weak):
        return
    method = f"  epa: {{loss: epa, strong: {strong}, weak: {weak}, learning_rate: {rates}}}\n"
    pushes = {rate * (s + w) / (1 + s + w) for rate in rates for s in strong for w in weak}
    found = control("control: learning_rate", method).learning_rate
    assert all(any(rate / 2 == pytest.approx(push, rel=1e-12) for push in pushes) for rate in found)
    assert all(any(rate / 2 == pytest.approx(push, rel=1e-12) for rate in found) for push in pushes)


@pytest.mark.parametrize("method", [EPA, GRID])
def test_the_resolved_file_shows_values_and_is_the_same_sweep(method: str) -> None:
    names = ("learning_rate", "nll", "strong_only", "weak_only", "own_prompt")
    loaded = load(method, *(f"  c-{name}: {{control_of: epa, control: {name}}}\n" for name in names))
    text = loaded.resolved_yaml()
    shown = load_document(text, "r").data["methods"]
    assert shown["c-weak_only"]["strong"] == [0]
    assert shown["c-own_prompt"]["weak_prompt"] == "own"
    assert shown["c-learning_rate"]["learning_rate"] == list(loaded.config.methods["c-learning_rate"].learning_rate)
    again = load_sweep(load_document(text, "r"))
    assert again.config == loaded.config
    assert again.resolved_yaml() == text


# Recipes


def test_the_prompt_of_weak_negatives_is_part_of_a_recipe_only_where_it_is_another() -> None:
    assert "weak_prompt" not in arms_of("control: weak_only", EPA)[0].recipe()
    assert "weak_prompt" not in arms_of("control: strong_only, weak_prompt: this", EPA)[0].recipe()
    assert arms_of("control: own_prompt", EPA)[0].recipe()["weak_prompt"] == "own"
    without_weak = Method(loss="epa", weak_prompt="own")
    (arm,) = (a for a in expand(load().config.model_copy(update={"methods": {"x": without_weak}})))
    assert "weak_prompt" not in arm.recipe()


# Wrong declarations


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            "control_of: eap, control: nll",
            '`methods.c.control_of`: no method is called "eap"; did you mean `epa`?',
        ),
        (
            "control_of: zzzz, control: nll",
            '`methods.c.control_of`: no method is called "zzzz"; choose one of dpo, epa, c2',
        ),
        ("control_of: c, control: nll", "`methods.c.control_of`: a method is no control of itself; name another one"),
        (
            "control_of: c2, control: nll",
            "`methods.c.control_of`: `c2` is a control itself; name the method that it controls",
        ),
        ("control_of: epa", "`methods.c`: a control needs both control_of, a method's name, and control"),
        ("control: nll", "`methods.c`: a control needs both control_of, a method's name, and control"),
        (
            "control_of: epa, control: lr",
            "`methods.c.control`: expected 'learning_rate', 'nll', 'strong_only', 'weak_only' or 'own_prompt', "
            'got "lr"',
        ),
        ("control_of: epa, control: [nll]", "`methods.c.control`: expected 'learning_rate', 'nll', 'strong_only', "),
        ("control_of: epa, control: weak_only, bta: 1", "unknown key `methods.c.bta`; did you mean `beta`?"),
        ("control_of: epa, control: weak_only, beta: x", '`methods.c.beta`: expected a number, got "x"'),
        # What contradicts the control.
        (
            "control_of: epa, control: strong_only, weak: 3",
            "`methods.c.weak`: the control strong_only of `epa` sets it to 0, got 3; leave it out",
        ),
        (
            "control_of: epa, control: strong_only, loss: sdpo",
            '`methods.c.loss`: the control strong_only of `epa` sets it to "epa", got "sdpo"; leave it out',
        ),
        (
            "control_of: epa, control: weak_only, strong: 1",
            "`methods.c.strong`: the control weak_only of `epa` sets it to 0, got 1; leave it out",
        ),
        (
            "control_of: epa, control: weak_only, weak: [2, 6]",
            "`methods.c.weak`: the control weak_only of `epa` sets it to 2, got [2, 6]; leave it out",
        ),
        (
            "control_of: epa, control: own_prompt, weak_prompt: this",
            '`methods.c.weak_prompt`: the control own_prompt of `epa` sets it to "own", got "this"; leave it out',
        ),
        (
            "control_of: epa, control: learning_rate, learning_rate: 1e-4",
            "`methods.c.learning_rate`: the control learning_rate of `epa` sets it to 0.0003, got 0.0001; leave it out",
        ),
        (
            "control_of: epa, control: learning_rate, beta: 0.1",
            "`methods.c.beta`: the control learning_rate of `epa` sets it to 0.5, got 0.1; leave it out",
        ),
        (
            "control_of: epa, control: learning_rate, nll: 0.1",
            "`methods.c.nll`: the control learning_rate of `epa` sets it to 0.0, got 0.1; leave it out",
        ),
        (
            "control_of: epa, control: nll, loss: epa",
            '`methods.c.loss`: the control nll of `epa` sets it to "dpo", got "epa"; leave it out',
        ),
        (
            "control_of: epa, control: nll, options: {tau: 1}",
            '`methods.c.options`: the control nll of `epa` sets it to {}, got {"tau": 1}; leave it out',
        ),
        (
            "control_of: epa, control: nll, nll: 0",
            "`methods.c.nll`: the control nll adds this term, expected a weight above 0, got 0; raise it, or leave it "
            "out for 0.2",
        ),
        ("control_of: epa, control: nll, strong: true", "`methods.c.strong`: expected a whole number, got true"),
    ],
)
def test_a_wrong_control_is_one_problem_at_its_line(settings: str, problem: str) -> None:
    key = problem.split("`")[1].removeprefix("methods.c").removeprefix(".").split(".")[0]
    lines = [f"    {setting}\n" for setting in _split(settings)]
    at = 8 + next((i for i, line in enumerate(lines) if line.strip().startswith(f"{key}:")), -1) if key else 7
    text = HEAD + EPA + "  c:\n" + "".join(lines) + "  c2: {control_of: epa, control: weak_only}\n"
    with pytest.raises(ConfigError) as caught:
        load_sweep(load_document(text, "f.yaml"))
    header, only = str(caught.value).splitlines()
    assert header == "1 problem in f.yaml:"
    assert only.startswith(f"  f.yaml:{at}: {problem}")


def _split(settings: str) -> list[str]:
    """`a: 1, b: [2, 3]` at its outer commas."""
    parts, depth = [""], 0
    for letter in settings:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


@pytest.mark.parametrize(
    ("method", "name", "problem"),
    [
        ("weak: 0", "weak_only", "it needs weak negatives, got weak 0; raise it, or take 0 out of its list"),
        ("weak: [0, 2]", "weak_only", "it needs weak negatives, got weak 0"),
        ("weak: [0, 2]", "own_prompt", "it needs weak negatives, got weak 0"),
        ("weak: 2, strong: 0", "weak_only", "it has no strong negatives to leave out"),
        ("weak: 2, weak_prompt: own", "own_prompt", "it scores them so already"),
        ("weak: 0", "strong_only", "it has no weak negatives to leave out"),
        ("weak: 2, strong: [0, 1]", "strong_only", "without its weak negatives it would have none"),
        ("weak: 0", "learning_rate", "with one negative it pushes the positive as far as DPO does, the factor is 1"),
        ("weak: 1, strong: 0", "learning_rate", "with one negative it pushes the positive as far as DPO does"),
        ("weak: [0, 2]", "learning_rate", "with one negative it pushes the positive as far as DPO does"),
        ("weak: 2, nll: 0.1", "learning_rate", "its NLL term pushes the positive too, which no learning rate of DPO"),
    ],
)
def test_a_control_of_nothing_is_refused(method: str, name: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"  epa: {{loss: epa, {method}}}\n", f"  c:\n    control: {name}\n    control_of: epa\n")
    header, only = str(caught.value).splitlines()
    assert header == "1 problem in f.yaml:"
    assert only.startswith(f"  f.yaml:8: `methods.c.control`: {name} of `epa`: {problem}")


def test_a_wrong_method_is_told_once_not_for_every_control() -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            "  epa: {loss: epa, weak: x}\n",
            "  c1: {control_of: epa, control: weak_only}\n",
            "  c2: {control_of: epa, control: own_prompt, beta: -1}\n",
        )
    assert [line.split("`")[1] for line in str(caught.value).splitlines()[1:]] == [
        "methods.epa.weak",
        "methods.c2.beta",
    ]


def test_a_check_of_a_copied_key_is_told_once() -> None:
    def no_epa(raw: dict[str, Any]) -> list[tuple[tuple[str, ...], str]]:
        return [(("methods", n, "loss"), n) for n, method in raw["methods"].items() if method.get("loss") == "epa"]

    text = HEAD + EPA + "  c1: {control_of: epa, control: weak_only}\n  c2: {control_of: epa, control: nll}\n"
    with pytest.raises(ConfigError) as caught:
        load_sweep(load_document(text, "f.yaml"), (), [no_epa])
    assert str(caught.value).splitlines()[1:] == ["  f.yaml:6: epa"]


def test_a_check_of_what_the_control_changes_is_told_at_the_control() -> None:
    text = HEAD + EPA + "  c1: {control_of: epa, control: weak_only}\n"
    with pytest.raises(ConfigError, match=r"\n  f.yaml:7: no strong ones$"):
        load_sweep(load_document(text, "f.yaml"), (), [lambda raw: [(("methods", "c1", "strong"), "no strong ones")]])


@pytest.mark.parametrize("strong", ["0", "[1, 0]"])
def test_groups_without_negatives_are_refused(problems: Problems, strong: str) -> None:
    message = "`methods.dpo`: groups of strong: 0 and weak: 0 have no negative; raise one of the two, or take 0 out of"
    (problem,) = problems(f"methods.dpo.strong={strong}")
    assert problem.startswith(f"--set methods.dpo.strong={strong}: {message}")
    assert problems("methods.epa.strong=0", "methods.epa.weak=[0, 2]")[0].startswith(
        "--set methods.epa.strong=0 and --set methods.epa.weak=[0, 2]: `methods.epa`: groups of strong: 0 and weak: 0"
    )


@pytest.mark.parametrize("methods", ["[]", "3", "{c: {control_of: [epa], control: {a: 1}}}", "{c: [control_of]}"])
def test_any_shape_of_the_methods_is_stood(methods: str) -> None:
    text = f"name: demo\nreference: {{kind: scratch}}\ndata: {{kind: embedded}}\nmethods: {methods}\n"
    with pytest.raises(ConfigError, match="`methods"):
        load_sweep(load_document(text, "f.yaml"))
