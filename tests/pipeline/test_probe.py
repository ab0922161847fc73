"""`epa-bench probe`: checkpoints that no sweep of this folder made, or that one did."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from epa_bench.core.errors import CheckpointError, ConfigError, EpaBenchError, SuiteError
from epa_bench.pipeline.probe import Probe, open_probe
from epa_bench.suites.metrics import METRICS_OF_KIND
from epa_bench.suites.registry import registry

if TYPE_CHECKING:
    from tests.conftest import Workplace

SUITES = ("reward_accuracy", "linearity", "off_support", "displacement", "calibration")


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Nine prompts with three scored responses each, one very long; the first once more; one of equal scores."""
    rows: list[dict[str, Any]] = [
        {
            "prompt": f"say {n}",
            "responses": [f"ant {n}", f"bell elm {n}", f"fox {n}"],
            "scores": [3.0, 2.0, float(n % 3)],
        }
        for n in range(8)
    ]
    rows.append({"prompt": "say jar", "responses": ["jar", "ink jar", "goat " * 200], "scores": [3.0, 2.0, 1.0]})
    rows.append(rows[0])
    rows.append(
        {
            "prompt": "say dune",
            "chosen": "dune",
            "rejected": ["elm", "fox"],
            "score_chosen": 1,
            "score_rejected": [1, 1],
        }
    )
    (tmp_path / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / "eval.jsonl")


@pytest.fixture
def twins(tmp_path: Path, save_checkpoint: Callable[..., Path]) -> tuple[str, str]:
    """(reference, policy): two checkpoints of one tokenizer, as any trainer saves them."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = save_checkpoint()
    reference = folder.rename(tmp_path / "reference")
    policy = save_checkpoint().rename(tmp_path / "policy")
    generator = torch.Generator().manual_seed(1)
    weights = load_file(policy / "model.safetensors")
    moved = {name: w + 0.05 * torch.randn(w.shape, generator=generator) for name, w in weights.items()}
    save_file(moved, policy / "model.safetensors", metadata={"format": "pt"})
    return str(reference), str(policy)


def opened(
    checkpoint: str, reference: str, data: str, *suites: str, settings: tuple[str, ...] = (), **options: Any
) -> Probe:
    settings = ("data.max_length=96", "execution.device=cpu", *settings)
    return open_probe(checkpoint, reference, data, suites or ("off_support",), registry(), settings, **options)


def plain_rewards(reference: str, policy: str, prompt: str, texts: list[str]) -> list[float]:
    """Log-ratios by transformers' own forward, one sequence at a time."""
    from epa_bench.data.chat import Renderer
    from epa_bench.models.checkpoint import load_model, load_tokenizer
    from tests.tiny import plain_logp

    models = [load_model(Path(folder), dtype="float32", device="cpu") for folder in (policy, reference)]
    renderer = Renderer(load_tokenizer(Path(reference)), template="chat", max_length=96)
    encoded = [renderer.encode(prompt, text) for text in texts]
    return [(plain_logp(models[0], each) - plain_logp(models[1], each)).item() for each in encoded]


def test_every_suite_from_one_pass(workplace: "Workplace", twins: tuple[str, str], data: str) -> None:
    reference, policy = twins
    arguments = ["probe", policy, "--reference", reference, "--data", data, "--set", "data.max_length=96"]
    arguments += [word for suite in SUITES for word in ("--suite", suite)]
    done = workplace.run(*arguments, "--json", "-")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    found = {(row["suite"], row["metric"]): row for row in rows}
    own_only = {metric for metric in METRICS_OF_KIND["linearity"] if not metric.endswith("_all")}
    expected = {(suite, m) for suite in SUITES for m in METRICS_OF_KIND[suite] if suite != "linearity" or m in own_only}
    assert set(found) == expected
    # One probe set, two score passes, and nothing trained.
    steps = sorted(step for step, _ in workplace.cells())
    assert steps == ["fit", "logps", "logps", "preferences_files", "probes", *["values"] * 5]

    assert found["linearity", "pearson"]["n"] == 10
    assert found["linearity", "pearson"]["failures"] == {"constant gold reward": 1}
    assert found["reward_accuracy", "accuracy_on_gold_ties"]["n"] >= 2
    assert found["off_support", "accuracy"]["n"] == 11
    rewards = plain_rewards(reference, policy, "say dune", ["dune", "elm", "fox"])
    values = next(
        path for path in workplace.store.glob("cells/values/*/values.jsonl") if "chosen_change" in path.read_text()
    )
    changes = [row["value"] for line in values.read_text().splitlines() if (row := json.loads(line))["item"] == 10001]
    assert changes[:2] == pytest.approx(rewards[:2], abs=1e-3)
    for row in rows:
        assert (row["value"] is None) == (row["n"] == 0)
        if row["low"] is not None and row["high"] is not None and row["metric"] != "ece":
            assert row["low"] <= row["value"] <= row["high"], row["metric"]
    assert "does not say what it was trained from" in rows[0]["reference"]
    assert rows[0]["beta"].startswith("1, not recorded")
    # The long response is cut, wherever it is scored, and counted.
    (probes,) = workplace.store.glob("cells/probes/*/probes.jsonl")
    long = sum("goat goat" in line for line in probes.read_text().splitlines())
    assert f"truncated {long}" in rows[0]["score_pass"]
    assert "responses truncated 1" in rows[0]["data"]

    # Again, and for one suite more or less: from the store, by content.
    before = workplace.cells()
    Path(policy).rename(Path(policy).with_name("moved"))
    again = workplace.run("probe", "moved", *arguments[2:], "--json", "-")
    assert again.returncode == 0, again.stderr
    assert workplace.cells() == before
    assert [{**row, "checkpoint": ""} for row in json.loads(again.stdout)] == [
        {**row, "checkpoint": ""} for row in rows
    ]


def test_a_sweeps_own_checkpoint_knows_its_reference_and_beta(finished: "Workplace", data: str, tmp_path: Path) -> None:
    (reference,) = finished.store.glob("cells/reference/*/model")
    policy = next(iter(sorted(finished.store.glob("cells/train/*/model"))))
    found = opened(str(policy), str(reference), data, settings=(f"output.folder={tmp_path}/runs",))
    assert found.reference_note == "as recorded by the checkpoint"
    assert (found.beta, found.beta_note) == (0.5, "as recorded by the checkpoint")
    assert opened(str(policy), str(reference), data, beta=0.2).beta == 0.2

    # Another reference is refused, or stated with every figure.
    other = str(policy)
    with pytest.raises(
        CheckpointError, match=r"was trained from a reference of the digest .* --reference-mismatch mark"
    ):
        opened(str(policy), other, data)
    marked = opened(str(policy), other, data, mismatch="mark")
    assert marked.reference_note.startswith("NOT what the checkpoint was trained from")


def test_an_adapter_on_its_base(workplace: "Workplace", save_adapter: Callable[..., Path], data: str) -> None:
    """PEFT names the base by a path; a sweep's own adapter by the digest of the reference, which is given."""
    policy = save_adapter()
    reference = str(policy.with_name("my-sft"))
    command = ["--reference", reference, "--data", data, "--suite", "off_support", "--set", "data.max_length=96"]
    first = workplace.run("probe", str(policy), *command, "--json", "-")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)[0]["n"] == 11

    content = opened(reference, reference, data).reference.digest
    settings = json.loads((policy / "adapter_config.json").read_text())
    (policy / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "0123abcd"}))
    with pytest.raises(CheckpointError, match="no checkpoint folder at 0123abcd"):
        opened(str(policy), reference, data)
    recorded = {
        "kind": "trained",
        "reference": "0123abcd",
        "reference_content": content,
        "recipe": {"arm": {"beta": 0.3}},
    }
    (policy / "epa_bench.json").write_text(json.dumps(recorded))
    found = opened(str(policy), reference, data)
    assert (found.checkpoint.base, found.beta) == (Path(reference), 0.3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda policy: (policy / "epa_bench.json").write_text("{}"),
            CheckpointError,
            "not what a sweep writes beside",
        ),
        (lambda policy: (policy / "model.safetensors").unlink(), CheckpointError, "no \\*.safetensors weights"),
    ],
)
def test_checkpoint_that_cannot_be_read(
    change: Callable[[Path], Any], error: type[EpaBenchError], message: str, twins: tuple[str, str], data: str
) -> None:
    reference, policy = twins
    change(Path(policy))
    with pytest.raises(error, match=message):
        opened(policy, reference, data)


def test_what_is_no_probe_is_refused(twins: tuple[str, str], data: str) -> None:
    reference, policy = twins
    with pytest.raises(SuiteError, match="generation is a suite of the kind generation, which does not follow"):
        opened(policy, reference, data, "generation")
    with pytest.raises(SuiteError, match="did you mean `off_support`"):
        opened(policy, reference, data, "of_support")
    with pytest.raises(ConfigError, match=r"--set training.seed=1: a probe has only the keys reference.template, data"):
        opened(policy, reference, data, settings=("training.seed=1",))
    with pytest.raises(CheckpointError, match=r"CHECKPOINT: no checkpoint folder at nowhere"):
        opened("nowhere", reference, data)
    with pytest.raises(CheckpointError, match=r"CHECKPOINT: org/name is a hub name: name it NAME@COMMIT"):
        opened("org/name", reference, data)
    with pytest.raises(ConfigError, match="revision"):
        opened(policy, "org/name@main", data)


def test_another_vocabulary_is_refused_before_anything_is_scored(
    workplace: "Workplace", twins: tuple[str, str], save_checkpoint: Callable[..., Path], data: str
) -> None:
    other = str(save_checkpoint(texts=("zebra yacht xylophone wombat violin",)))
    found = opened(other, twins[0], data, settings=(f"output.folder={workplace.folder}/runs",))
    with pytest.raises(CheckpointError, match="is not that of its reference"):
        found.run()
    assert not workplace.cells()


@pytest.mark.parametrize(
    ("code", "words", "change"),
    [
        (5, ("expected a chat template", "reference.template: plain"), {"chat_template": False}),
        (9, ("linearity suite needs prompts with 3 or more",), {}),
    ],
)
def test_what_cannot_be_scored(
    code: int,
    words: tuple[str, ...],
    change: dict[str, Any],
    workplace: "Workplace",
    save_checkpoint: Callable[..., Path],
    write_rows: Callable[..., None],
) -> None:
    write_rows()
    folder = str(save_checkpoint(**change))
    command = ["probe", folder, "--reference", folder, "--data", "eval.jsonl", "--set", "data.max_length=96"]
    done = workplace.run(*command, "--suite", "linearity")
    assert done.returncode == code, done.stderr
    assert all(word in done.stderr for word in words)
    assert "Traceback" not in done.stderr
    assert not list(workplace.store.glob("cells/logps/*"))


def test_linearity_of_real_scores(
    twins: tuple[str, str], shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """80 questions with four answers that GPT-4 scored three times each; six of them scored all alike."""
    monkeypatch.chdir(tmp_path)
    path = shared_data / "preferences" / "prometheus_multi" / "vicuna_4responses_3xgpt4.jsonl"
    reference, policy = twins
    settings = ("data.max_length=256", "data.invalid_rows=drop")
    found = {row["metric"]: row for row in opened(policy, reference, str(path), "linearity", settings=settings).run()}
    # One question is so long that of its answers, cut to the context, the same first words are left.
    assert (found["pearson"]["n"], found["pearson"]["failures"]) == (73, {"constant implicit reward": 1})
    assert "equal scores 6" in found["pearson"]["data"]
    assert -1 <= found["kendall"]["low"] <= found["kendall"]["value"] <= found["kendall"]["high"] <= 1
