"""What a sweep file may hold: every wrong value is a problem at its place that says what was expected."""

import json
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from epa_bench.config.load import LoadedSweep
from epa_bench.config.schema import EmbeddedData, Method, ScratchModel, Training, Validation
from epa_bench.config.supervised import Sft
from epa_bench.core.errors import ConfigError

Load = Callable[..., LoadedSweep]
Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        # A value of another type is never converted.
        ("methods.dpo.learning_rate=true", "`methods.dpo.learning_rate`: expected a number, got true"),
        ("methods.dpo.learning_rate='5e-7'", '`methods.dpo.learning_rate`: expected a number, got "5e-7"'),
        ("methods.dpo.learning_rate=", "`methods.dpo.learning_rate`: expected a number, got null"),
        ("methods.dpo.beta={a: 1}", '`methods.dpo.beta`: expected a number, got {"a": 1}'),
        ("methods.dpo.strong=1.0", "`methods.dpo.strong`: expected a whole number, got 1.0"),
        ("methods.dpo.strong=true", "`methods.dpo.strong`: expected a whole number, got true"),
        ("methods.dpo.strong=1_0", '`methods.dpo.strong`: expected a whole number, got "1_0"'),
        (
            "methods.dpo.loss=3",
            "`methods.dpo.loss`: expected text (in quotes where it looks like something else), got 3",
        ),
        ("training.gradient_checkpointing=1", "`training.gradient_checkpointing`: expected true or false, got 1"),
        ("training.gradient_checkpointing=yes", '`training.gradient_checkpointing`: expected true or false, got "yes"'),
        ("training=", "`training`: expected keys and values, got null"),
        ("methods.dpo=3", "`methods.dpo`: expected keys and values, got 3"),
        ("training.lora=true", "`training.lora`: expected keys and values, got true"),
        ("methods=[dpo]", '`methods`: expected keys and values, got ["dpo"]'),
        ("suites.a=3", "`suites.a`: expected keys and values, got 3"),
        ("seeds=1", "`seeds`: expected a list, got 1"),
        ("seeds=[true]", "`seeds.0`: expected a whole number, got true"),
        # Values out of range.
        ("methods.dpo.beta=0", "`methods.dpo.beta`: expected greater than 0, got 0"),
        ("methods.dpo.beta=[0.1, -1]", "`methods.dpo.beta.1`: expected greater than 0, got -1"),
        ("methods.dpo.weak=-1", "`methods.dpo.weak`: expected greater than or equal to 0, got -1"),
        ("methods.dpo.nll=-0.1", "`methods.dpo.nll`: expected greater than or equal to 0, got -0.1"),
        ("data.correct=1.1", "`data.correct`: expected less than or equal to 1, got 1.1"),
        ("training.num_train_epochs=0", "`training.num_train_epochs`: expected greater than or equal to 1, got 0"),
        (
            "reference.model.vocab_size=10",
            "`reference.model.vocab_size`: expected greater than or equal to 300, got 10",
        ),
        ("table.level=1", "`table.level`: expected less than 1, got 1"),
        ("seeds=[-1]", "`seeds.0`: expected greater than or equal to 0, got -1"),
        ("seeds=[4294967296]", "`seeds.0`: expected less than 4294967296, got 4294967296"),
        ("training.data_seed=-1", "`training.data_seed`: expected greater than or equal to 0, got -1"),
        ("training.lora.r=0", "`training.lora.r`: expected greater than or equal to 1, got 0"),
        ("training.lora.lora_alpha=1.5", "`training.lora.lora_alpha`: expected a whole number, got 1.5"),
        # Names of things.
        ("training.dtype=float16", "`training.dtype`: expected 'float32' or 'bfloat16', got \"float16\""),
        (
            "methods.dpo.weak_source=no",
            "`methods.dpo.weak_source`: expected 'chosen', 'rejected' or 'both', got \"no\"",
        ),
        ("judge.kind=gpt", '`judge.kind`: expected gold or api or local or recorded, got "gpt"'),
        (
            "reference={}",
            "`reference.kind` is required, scratch or checkpoint; add it, or pass --set reference.kind=VALUE",
        ),
        ("reference.kind=none", '`reference.kind`: expected scratch or checkpoint, got "none"'),
        ("reference.kind=3", "`reference.kind`: expected scratch or checkpoint, got 3"),
        ("data.kind=[files]", '`data.kind`: expected embedded or files, got ["files"]'),
        ("reference=scratch", '`reference`: expected keys and values, got "scratch"'),
        (
            "training.lora.target_modules=[all-linear, q_proj]",
            '`training.lora.target_modules`: expected all-linear or names of layers, not both, got ["all-linear", '
            '"q_proj"]',
        ),
        (
            "training.lora.target_modules=[q_proj, model.lm_head]",
            "`training.lora.target_modules`: an adapter on the output layer or embeddings (model.lm_head) is refused; "
            'leave it out, got ["q_proj", "model.lm_head"]',
        ),
        (
            "training.lora.target_modules=embed_tokens",
            "`training.lora.target_modules`: an adapter on the output layer or embeddings (embed_tokens) is refused; "
            'leave it out, got "embed_tokens"',
        ),
        # Lists of the grid.
        ("methods={}", "`methods`: expected at least one entry, got {}"),
        ("methods.dpo.beta=[]", "`methods.dpo.beta`: expected one or more values, all different, got []"),
        ("methods.dpo.beta=[1, 1.0]", "`methods.dpo.beta`: expected one or more values, all different, got [1, 1.0]"),
        ("methods.dpo.seeds=[]", "`methods.dpo.seeds`: expected one or more values, all different, got []"),
        ("methods.dpo.seeds=[3, 3]", "`methods.dpo.seeds`: expected one or more values, all different, got [3, 3]"),
        # Unknown keys.
        ("methods.dpo.learning_rat=1", "unknown key `methods.dpo.learning_rat`; did you mean `learning_rate`?"),
        ("reference.model.hiden_size=1", "unknown key `reference.model.hiden_size`; did you mean `hidden_size`?"),
        ("reference.sft.epochs=1", "unknown key `reference.sft.epochs`; did you mean `num_train_epochs`?"),
        ("training.lora.lora_dropout=0", "unknown key `training.lora.lora_dropout`; did you mean `lora_alpha`?"),
        ("table.x=1", "unknown key `table.x`; known here: baseline, level"),
    ],
)
def test_wrong_value(problems: Problems, override: str, problem: str) -> None:
    assert problems(override) == [f"--set {override}: {problem}"]


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "1e999"])
def test_numbers_must_be_finite(load: Load, number: str) -> None:
    for key in ("methods.dpo.beta", "methods.dpo.nll", "suites.a.temperature"):
        with pytest.raises(ConfigError) as caught:
            load(f"{key}={number}")
        assert str(caught.value).startswith(f"--set {key}={number}: {number}: a number must be finite")


BAD_NAMES = ["../../etc", "..", ".hidden", "/etc", "a/b", "a\\b", "Demo", "-x", "a b", "", "é", "a:b", "a\0", "x" * 81]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_cannot_lead_out_of_their_folder(problems: Problems, name: str) -> None:
    quoted = json.dumps(name)
    (of_sweep,) = problems(f"name={quoted}")
    (of_method,) = problems(f"methods={{{quoted}: {{loss: dpo}}}}")
    (of_suite,) = problems(f"suites={{{quoted}: {{}}}}")
    assert all("expected text of the pattern" in line or len(name) > 80 for line in (of_sweep, of_method, of_suite))


def test_a_name_does_not_end_in_a_newline(problems: Problems) -> None:
    """As Python's `$` would let it."""
    assert len(problems('name="demo\\n"')) == 1


@pytest.mark.parametrize("name", ["a", "0", "epa-1-1-2", "dpo_beta0.1", "x" * 80])
def test_names(load: Load, name: str) -> None:
    assert load(f"name='{name}'", f"methods={{'{name}': {{loss: dpo}}}}").config.name == name


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc1234", "A" * 40, "0" * 39, "0" * 41])
def test_revisions_are_commits(problems: Problems, load: Load, revision: str) -> None:
    reference = "reference={kind: checkpoint, path: org/model}"
    (problem,) = problems(reference, f"reference.revision='{revision}'")
    assert "`reference.revision`: expected text of the pattern" in problem
    assert load(reference, f"reference.revision='{'0' * 40}'")


def test_head_size_is_a_problem_of_both_places(problems: Problems) -> None:
    message = "`reference.model`: hidden_size / num_attention_heads must be an even whole number of at least 32, got "
    assert problems("reference.model.hidden_size=100") == [
        f"--set reference.model.hidden_size=100 and sweep.yaml:6: {message}100 / 4"
    ]
    both = "reference.model={hidden_size: 96, num_attention_heads: 4}"
    assert problems(both) == [f"--set {both}: {message}96 / 4"]
    text = "name: a\nreference:\n  kind: scratch\n  model:\n    num_attention_heads: 8\ndata: {kind: embedded}\n"
    assert problems(text=text + "methods: {a: {loss: dpo}}\n") == [f"sweep.yaml:5: {message}128 / 8"]


@pytest.mark.parametrize(
    ("size", "heads", "fits"),
    [(128, 4, True), (64, 2, True), (34, 1, True), (128, 8, False), (129, 4, False), (33, 1, False), (30, 1, False)],
)
def test_head_size(size: int, heads: int, fits: bool) -> None:
    """Odd heads: transformers' rotary embedding refuses them."""
    if fits:
        ScratchModel(hidden_size=size, num_attention_heads=heads)
    else:
        with pytest.raises(ValidationError, match="even whole number"):
            ScratchModel(hidden_size=size, num_attention_heads=heads)


def test_shares_of_the_corpus_leave_room_for_each_other(problems: Problems) -> None:
    EmbeddedData(kind="embedded", correct=0.75, off_topic=0.25)
    assert problems("data.off_topic=0.5") == [
        "sweep.yaml:9 and --set data.off_topic=0.5: `data`: correct + off_topic must be at most 1, got 0.6 + 0.5"
    ]
    assert problems("data={kind: embedded, correct: 0.9}") == [
        "--set data={kind: embedded, correct: 0.9}: `data`: correct + off_topic must be at most 1, got 0.9 + 0.15"
    ]


def test_one_value_stands_for_a_list_of_one(load: Load) -> None:
    assert load("methods.dpo.beta=0.2").config == load("methods.dpo.beta=[0.2]").config


def test_whole_numbers_are_numbers(load: Load) -> None:
    """So that `beta: 1` and `beta: 1.0` are the same cell."""
    beta = load("methods.dpo.beta=1").config.methods["dpo"].beta
    assert (beta, type(beta[0])) == ((1.0,), float)
    reference = load("reference.sft.learning_rate=1").config.reference
    assert '"learning_rate":1.0' in reference.model_dump_json()


def test_a_new_adapter_is_the_same_however_it_is_written(load: Load) -> None:
    def recipe(*overrides: str) -> dict[str, object]:
        lora = load("training.lora={}", *overrides).config.training.lora
        assert lora is not None
        return lora.recipe()

    assert recipe() == {"r": 16, "lora_alpha": 32, "target_modules": ["all-linear"], "use_rslora": False}
    written = ("training.lora.r=16", "training.lora.target_modules=all-linear", "training.lora.use_rslora=false")
    assert recipe(*written) == recipe()
    assert recipe("training.lora.target_modules=[v_proj, q_proj]")["target_modules"] == ["q_proj", "v_proj"]
    assert recipe("training.lora.r=4") != recipe()


def test_defaults_are_valid() -> None:
    """Pydantic does not validate defaults."""
    for default in (ScratchModel(), Sft(), Method(loss="dpo"), EmbeddedData(kind="embedded")):
        assert type(default).model_validate_json(default.model_dump_json(exclude_none=True)) == default


def test_a_recipe_names_later_keys_only_where_they_are_used() -> None:
    """So that their coming changed no address; what was always there is always named."""
    first = {
        *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "warmup_ratio"),
        *("lr_scheduler_type", "weight_decay", "max_grad_norm", "data_seed", "dtype", "gradient_checkpointing"),
    }
    assert Training().recipe().keys() == first
    assert Training(save_steps=7).recipe() == Training().recipe()
    used = Training(optim="sgd", warmup_steps=0, validation=Validation(rows=3, eval_steps=2))
    assert used.recipe().keys() == first | {"optim", "warmup_steps", "validation"}
    assert Training.model_validate(used.recipe()) == used
