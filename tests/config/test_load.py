"""From file and overrides to a typed sweep, or to one error with every problem at its place."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epa_bench.config.engine import Engine
from epa_bench.config.grid import expand
from epa_bench.config.load import LoadedSweep, load_sweep
from epa_bench.config.schema import CheckpointReference, EmbeddedData, FilesData, ScratchReference, Sweep
from epa_bench.config.yaml12 import Location, load_document
from epa_bench.core.errors import ConfigError
from tests.config.conftest import SWEEP

Load = Callable[..., LoadedSweep]
Problems = Callable[..., list[str]]


def test_a_good_file(load: Load) -> None:
    sweep = load().config
    assert isinstance(sweep.reference, ScratchReference)
    assert isinstance(sweep.data, EmbeddedData)
    assert sweep.methods["dpo"].beta == (0.1, 0.3)
    assert sweep.methods["dpo"].learning_rate == (5e-7,)
    assert sweep.methods["epa"].weak == (2,)
    assert sweep.seeds == (1, 2)
    assert sweep.training.groups_per_step == 32


def test_all_problems_are_listed_at_once_each_with_its_line(problems: Problems) -> None:
    text = """\
name: ../../etc
reference:
  kind: scratch
  modle: {}
data:
  kind: files
  train: 3
methods:
  dpo:
    loss: dpo
    learning_rate: true
    beta:
      - 0.1
      - "0.3"
  Epa: {loss: epa}
trainig: {}
seeds: [1, 1]
table: {level: 1.0}
"""
    assert sorted(problems(text=text), key=lambda line: int(line.split(":")[1])) == [
        "sweep.yaml:1: `name`: expected text of the pattern '^[a-z0-9][a-z0-9_.-]*$', got \"../../etc\"",
        "sweep.yaml:4: unknown key `reference.modle`; did you mean `model`?",
        "sweep.yaml:5: `data.eval` is required; add it, or pass --set data.eval=VALUE",
        "sweep.yaml:7: `data.train`: expected text (in quotes where it looks like something else), got 3",
        "sweep.yaml:11: `methods.dpo.learning_rate`: expected a number, got true",
        'sweep.yaml:14: `methods.dpo.beta.1`: expected a number, got "0.3"',
        "sweep.yaml:15: `methods.Epa`: expected text of the pattern '^[a-z0-9][a-z0-9_.-]*$', got \"Epa\"",
        "sweep.yaml:16: unknown key `trainig`; did you mean `training`?",
        "sweep.yaml:17: `seeds`: expected one or more values, all different, got [1, 1]",
        "sweep.yaml:18: `table.level`: expected less than 1, got 1.0",
    ]


def test_an_empty_mapping_lists_what_is_required(problems: Problems) -> None:
    assert problems(text="{}") == [
        f"sweep.yaml:1: `{key}` is required; add it, or pass --set {key}=VALUE"
        for key in ("name", "reference", "data", "methods")
    ]


def test_checks_are_reported_beside_type_problems() -> None:
    def check(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
        assert raw["name"] == "demo"
        yield ("methods", "dpo", "loss"), "no such loss"
        yield ("suites", "x"), "no such suite"

    text = (
        "name: demo\nreference: {kind: scratch}\ndata: {kind: embedded}\nmethods:\n  dpo:\n    loss: dpi\n    bta: 1\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_sweep(load_document(text, "f.yaml"), (), [check, lambda raw: [(("name",), "taken")]])
    assert str(caught.value).splitlines() == [
        "4 problems in f.yaml:",
        "  f.yaml:7: unknown key `methods.dpo.bta`; did you mean `beta`?",
        "  f.yaml:6: no such loss",
        "  f.yaml:1: no such suite",
        "  f.yaml:1: taken",
    ]


def test_checks_alone_refuse_a_sweep_of_right_types(load: Load) -> None:
    document = load().document
    with pytest.raises(ConfigError, match=r"1 problem in sweep.yaml:\n  sweep.yaml:12: no such loss"):
        load_sweep(document, (), [lambda raw: [(("methods", "dpo", "loss"), "no such loss")]])


def test_checks_see_overrides_and_their_places() -> None:
    text = "name: demo\nreference: {kind: scratch}\ndata: {kind: embedded}\nmethods:\n  dpo: {loss: dpo}\n"

    def check(raw: dict[str, Any]) -> Iterator[tuple[Location, str]]:
        yield ("methods", "dpo", "loss"), raw["methods"]["dpo"]["loss"]

    with pytest.raises(ConfigError, match=r"\n  --set methods.dpo.loss=epa: epa$"):
        load_sweep(load_document(text, "f"), ["methods.dpo.loss=epa"], [check])


def test_at_most_twenty_problems_are_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load_sweep(load_document("{" + ", ".join(f"key{i}: 1" for i in range(30)) + "}", "f"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "34 problems in f:"
    assert lines[-1] == "  ... and 14 more"
    assert len(lines) == 22


# --set


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("name=other", ("name",), "other"),
        (" name = other ", ("name",), "other"),
        ("training.num_train_epochs=2", ("training", "num_train_epochs"), 2),
        ("methods.dpo.learning_rate=5e-7", ("methods", "dpo", "learning_rate"), (5e-7,)),
        ("methods.dpo.learning_rate=[1e-6, 5e-7]", ("methods", "dpo", "learning_rate"), (1e-6, 5e-7)),
        ("methods.dpo.beta=1", ("methods", "dpo", "beta"), (1.0,)),
        ("output.folder=a=b", ("output", "folder"), "a=b"),
        ("output.folder='5'", ("output", "folder"), "5"),
        ("data.train_prompts=10", ("data", "train_prompts"), 10),
        ("training.data_seed=", ("training", "data_seed"), None),
        ("suites.new.decoding.temperature=0.5", ("suites", "new"), {"decoding": {"temperature": 0.5}}),
    ],
)
def test_override(load: Load, override: str, path: tuple[str, ...], value: object) -> None:
    found: Any = load(override).config
    for part in path:
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_later_overrides_win_and_leave_the_file_alone(load: Load) -> None:
    document = load().document
    loaded = load_sweep(document, ["name=a", "seeds=[5]", "name=b"])
    assert (loaded.config.name, loaded.config.seeds) == ("b", (5,))
    assert document.data["name"] == "demo"
    assert load_sweep(document).config.name == "demo"


def test_override_replaces_a_section_by_another_kind(load: Load) -> None:
    loaded = load("data={kind: files, train: a.jsonl}", "data.eval=b.jsonl")
    assert loaded.config.data == FilesData(kind="files", train="a.jsonl", eval="b.jsonl")


@pytest.mark.parametrize("override", ["engine=vllm", "engine.kind=vllm"])
def test_a_word_for_the_engine_is_its_kind(load: Load, problems: Problems, override: str) -> None:
    """The section's other keys stay; in the file and in an override alike."""
    longer = SWEEP + "engine: {batch_size: 8}\n"
    assert load(override, text=longer).config.engine == Engine(kind="vllm", batch_size=8)
    short = load("engine.batch_size=8", text=SWEEP + "engine: vllm\n").config.engine
    assert short == Engine(kind="vllm", batch_size=8)
    assert problems("engine=vlm") == [
        "--set engine=vlm: `engine.kind`: expected 'auto', 'transformers' or 'vllm', got \"vlm\""
    ]
    assert problems("engine.max_model_len=31")[0].startswith("--set engine.max_model_len=31: `engine.max_model_len`")


def test_override_of_one_alias_leaves_the_others(load: Load) -> None:
    text = "name: a\nreference: {kind: scratch}\ndata: {kind: embedded}\nmethods: {a: &a {loss: dpo}, b: *a}\n"
    methods = load("methods.b.beta=0.5", text=text).config.methods
    assert (methods["a"].beta, methods["b"].beta) == ((0.1,), (0.5,))


def test_override_reaches_a_name_with_dots(load: Load) -> None:
    methods = load("methods={epa-0: {loss: epa}, epa-0.1: {loss: epa}}", "methods.epa-0.1.beta=0.7").config.methods
    assert (methods["epa-0"].beta, methods["epa-0.1"].beta) == ((0.1,), (0.7,))


@pytest.mark.parametrize("override", ["name", "", "=1", "a..b=1", ".a=1", "a.=1", "--name"])
def test_override_of_the_wrong_form(load: Load, override: str) -> None:
    with pytest.raises(ConfigError, match=r"expected KEY=VALUE, e\.g\. --set training\.num_train_epochs=2") as caught:
        load(override)
    assert str(caught.value).startswith(f"--set {override}: ")


@pytest.mark.parametrize("override", ["name.x=1", "methods.dpo.beta.0=1", "seeds.0=1", "methods.dpo.loss.a.b=1"])
def test_override_below_a_value(load: Load, override: str) -> None:
    with pytest.raises(ConfigError, match=r"^--set .* has no keys below it"):
        load(override)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["trainig.x=1"], "--set trainig.x=1: unknown key `trainig`; did you mean `training`?"),
        (["training.x=1"], "--set training.x=1: unknown key `training.x`; known here: "),
        (["name={a: 1}"], "--set name={a: 1}: `name`: expected text"),
        (["data=embedded"], '--set data=embedded: `data`: expected keys and values, got "embedded"'),
        (
            ["methods.dpo.beta=[0.1, x]"],
            '--set methods.dpo.beta=[0.1, x]: `methods.dpo.beta.1`: expected a number, got "x"',
        ),
        (["suites.a=3"], "--set suites.a=3: `suites.a`: expected keys and values, got 3"),
        # The later one is to blame, also where it replaces what an earlier one set below it.
        (["methods.epa.nll=1", "methods.epa={nll: x}"], "--set methods.epa={nll: x}: `methods.epa."),
        (["methods.epa={loss: epa}", "methods.epa.nll=x"], "--set methods.epa.nll=x: `methods.epa.nll`"),
        # A section that an override made has no line in the file.
        (["output.x.y=1"], "--set output.x.y=1: unknown key `output.x`"),
        (["engine.0=1"], "--set engine.0=1: unknown key `engine.0`"),
        (["table.level=2", "table.baseline=dpo"], "--set table.level=2: `table.level`"),
    ],
)
def test_problems_of_an_override_name_it(problems: Problems, overrides: list[str], problem: str) -> None:
    assert all(line.startswith(problem.split(": ")[0] + ": ") for line in problems(*overrides))
    assert any(line.startswith(problem) for line in problems(*overrides))


def test_problems_beside_an_override_keep_their_lines(problems: Problems) -> None:
    text = "name: 1\nreference: {kind: scratch}\ndata:\n  kind: embedded\nmethods:\n  dpo: {loss: dpo, beta: -1}\n"
    assert [line.split(": ")[0] for line in problems("data.seed=x", text=text)] == [
        "sweep.yaml:1",
        "--set data.seed=x",
        "sweep.yaml:6",
    ]


def test_missing_key_tells_of_set(problems: Problems) -> None:
    assert problems("data={kind: files, eval: b.jsonl}") == [
        "--set data={kind: files, eval: b.jsonl}: `data.train` is required; add it, or pass --set data.train=VALUE"
    ]
    assert problems("reference.kind=checkpoint", "reference.model=") == [
        "sweep.yaml:2: `reference.path` is required; add it, or pass --set reference.path=VALUE",
        "--set reference.model=: unknown key `reference.model`; known here: "
        + ", ".join(sorted(CheckpointReference.model_fields)),
    ]


# The resolved file


def test_resolved_file_has_every_default_and_gives_the_same_sweep(load: Load) -> None:
    loaded = load("suites={a: {limit: null, decoding: {seed: 0}}}")
    text = loaded.resolved_yaml()
    again = load_sweep(load_document(text, "resolved.yaml"))
    assert again.config == loaded.config
    assert again.resolved_yaml() == text
    assert "groups_per_step" not in text
    data = again.document.data
    assert data["training"]["lr_scheduler_type"] == "linear"
    assert data["training"]["data_seed"] is None
    assert data["methods"]["dpo"]["weak_pool"] == ["step"]
    # A suite's null is a value: it takes a limit away that suite.yaml sets.
    assert data["suites"] == {"a": {"limit": None, "decoding": {"seed": 0}}}
    assert list(data) == [name for name in Sweep.model_fields if name in data]


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,6}", fullmatch=True)
NUMBERS = st.floats(1e-12, 1e6) | st.integers(1, 10**6)
SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COMMITS = st.text("0123456789abcdef", min_size=40, max_size=40)


def values_of(kind: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return kind | st.lists(kind, min_size=1, max_size=3, unique=True)


METHODS = st.fixed_dictionaries(
    {"loss": TEXTS},
    optional={
        "beta": values_of(NUMBERS),
        "learning_rate": values_of(NUMBERS),
        "strong": values_of(st.integers(1, 9)),
        "weak": values_of(st.integers(0, 9)),
        "weak_source": values_of(st.sampled_from(["chosen", "rejected", "both"])),
        "nll": values_of(st.floats(0, 10)),
        "seeds": SEEDS,
    },
)
SWEEPS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "reference": st.one_of(
            st.fixed_dictionaries({"kind": st.just("scratch")}),
            st.fixed_dictionaries(
                {"kind": st.just("checkpoint"), "path": TEXTS},
                optional={"revision": COMMITS, "template": st.sampled_from(["chat", "plain"])},
            ),
        ),
        "data": st.one_of(
            st.fixed_dictionaries({"kind": st.just("embedded")}, optional={"correct": st.floats(0, 0.8)}),
            st.fixed_dictionaries(
                {"kind": st.just("files"), "train": TEXTS, "eval": TEXTS},
                optional={"train_limit": st.integers(1, 10**6)},
            ),
        ),
        # One method, so that no names of arms meet.
        "methods": st.dictionaries(NAMES, METHODS, min_size=1, max_size=1),
    },
    optional={
        "seeds": SEEDS,
        "output": st.fixed_dictionaries({"folder": TEXTS}),
        "suites": st.dictionaries(
            NAMES, st.dictionaries(TEXTS, st.none() | st.booleans() | NUMBERS | TEXTS), max_size=2
        ),
        "training": st.fixed_dictionaries({"data_seed": st.none() | st.integers(0, 9)}),
    },
)


@given(SWEEPS)
def test_every_sweep_survives_its_resolved_file(raw: dict[str, Any]) -> None:
    config = Sweep.model_validate_json(json.dumps(raw))
    text = LoadedSweep(config, load_document("{}", "f")).resolved_yaml()
    again = load_sweep(load_document(text, "f")).config
    assert again == config
    assert [arm.recipe() for arm in expand(again)] == [arm.recipe() for arm in expand(config)]


def test_loading_needs_no_heavy_imports() -> None:
    code = "import sys, epa_bench.config.load, epa_bench.config.grid; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "numpy", "transformers", "scipy"} & set(done.stdout.split())
