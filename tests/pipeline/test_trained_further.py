"""A checkpoint trained further by the supervised stage: its cells, its data, and what is refused."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from epa_bench.config.yaml12 import read_document
from epa_bench.core.errors import CheckpointError, ConfigError, DataError, EpaBenchError, TrainingError
from epa_bench.core.store import CellSpec
from epa_bench.models.checkpoint import load_tokenizer
from epa_bench.pipeline.any_run import open_any, run_any, write_any
from epa_bench.pipeline.cell_runner import CellRunner
from epa_bench.pipeline.cells import in_order
from epa_bench.pipeline.explain import explain
from epa_bench.pipeline.forecast import check_possible, forecast
from epa_bench.pipeline.reference_runs import ReferenceRuns
from epa_bench.pipeline.run import Run, needed_cells, open_run, run_stage
from epa_bench.pipeline.table import write_table
from epa_bench.pipeline.token_forecast import OwedTokens
from epa_bench.pipeline.training_memory import training_bytes
from epa_bench.suites.registry import registry
from tests.conftest import Workplace
from tests.pipeline.conftest import FileSweep, preference_row

SFT: dict[str, Any] = {
    "learning_rate": 1e-3,
    "num_train_epochs": 2,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "save_steps": 1,
}
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"count {i}"},
            {"role": "assistant", "content": "one"},
            {"role": "user", "content": "and then?"},
            {"role": "assistant", "content": " ".join(["two"] * (1 + i % 3))},
        ]
    }
    for i in range(10)
]
SCORES = [
    {
        "prompt": row["messages"][:-1],
        "response": row["messages"][-1]["content"],
        "logp": -1.5 * (i + 1),
        "tokens": i + 2,
    }
    for i, row in enumerate(ROWS)
]


@pytest.fixture
def place(
    workplace: Workplace,
    file_sweep: FileSweep,
    write_rows: Callable[..., None],
    save_checkpoint: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Workplace:
    """A sweep that trains `my-sft` further on rows of its own by PoFT, from its folder."""
    monkeypatch.chdir(workplace.folder)
    write_rows()
    save_checkpoint()
    write_lines("sft.jsonl", ROWS)
    write_lines("scores.jsonl", SCORES)
    reference = {
        "kind": "checkpoint",
        "path": "my-sft",
        "sft": {**SFT, "objective": "poft", "data": {"path": "sft.jsonl"}},
    }
    aligned = {"theirs": {"kind": "scores", "path": "scores.jsonl"}}
    small: dict[str, Any] = {
        "methods.epa-1-1-2": None,
        "methods.dpo-nll": None,
        "seeds": [1],
        "suites": {"reward_accuracy": {}},
    }
    workplace.write({"data": file_sweep["data"], **small, "reference": reference, "aligned": aligned})
    return workplace


def write_lines(file: str, rows: Sequence[Any]) -> None:
    Path(file).write_text("".join(json.dumps(row) + "\n" for row in rows))


def opened(*overrides: str) -> Run:
    return open_run(read_document(Path("mini.yaml")), overrides, registry([]))


def compute(run: Run, target: CellSpec | None) -> Path:
    """The cell with all it needs, here and now; gives its folder."""
    assert target is not None
    for cell in in_order([target]):
        if not run.store.has(cell):
            CellRunner(run.store.root, "cpu", {})(cell, lambda done, total: None)
    return run.store.open(target).folder


def made(*overrides: str) -> Path:
    run = opened(*overrides)
    return compute(run, run.cells.reference)


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def test_a_sweep_from_a_checkpoint_that_it_trains_further(place: Workplace) -> None:
    """PoFT on the user's own rows, then DPO, a probe and a table; each link of the chain can be explained."""
    run = opened()
    for cell in needed_cells(run):
        compute(run, cell)
    # Nothing is owed: what a run notes of itself.
    run_stage(run, "score")
    write_table(run)
    text = Path("leaderboards/mini.md").read_text()
    assert 'Reference: a given checkpoint trained further: {"adam_beta1"' in text
    assert (
        "scores of theirs. Supervised data: responses truncated 0, rows 10, rows filtered out 0, rows left over at the "
        "end 0, rows that do not fit 0, sequences 10; supervised file rows 10, rows dropped none."
    ) in text
    (reference,) = run.store.root.glob("cells/sft/*")
    assert "tau/q50" in (reference / "training_log.jsonl").read_text()
    (card,) = run.store.root.glob("cells/train/*/model/README.md")
    assert f"| digest | {reference.name} |\n| of | the recipe of the checkpoint that the sweep trained further" in (
        card.read_text()
    )
    found = explain(run.folder, Path("runs"), "reward_accuracy", "accuracy", "dpo", None, registry([]))
    links = {link.step: link for link in found.links}
    assert {"sft", "supervised_files", "aligned_file", "train", "reference_scores"} <= links.keys()
    assert links["train"].inputs["reference"] == reference.name
    assert all(link.stale == () for link in found.links)
    assert found.remarks == ()


def test_it_goes_on_after_a_kill_to_the_same_weights(place: Workplace) -> None:
    whole = made("output.folder=undisturbed")
    run = opened()
    cell = run.cells.reference
    assert cell is not None
    compute(run, cell.inputs["supervised"])
    compute(run, cell.inputs["aligned theirs"])

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        CellRunner(run.store.root, "cpu", {})(cell, stop)
    assert list(run.store.root.glob("staging/sft-*/checkpoints/checkpoint-2"))
    torn = compute(run, cell)
    for file in ("model/model.safetensors", "training_log.jsonl"):
        assert (torn / file).read_bytes() == (whole / file).read_bytes()
    assert not list(torn.glob("checkpoints"))


def test_without_a_stage_of_its_own_a_checkpoint_has_the_cells_it_always_had(place: Workplace) -> None:
    run = opened("reference.sft=null", "aligned={}")
    assert run.cells.reference is None
    steps = {cell.step: cell for cell in in_order([c.cell for c in run.cells.checkpoints if c.cell is not None])}
    assert set(steps) == {"preferences_files", "fit", "plan", "reference_scores", "train"}
    assert set(steps["fit"].config) == {"text", "invalid_rows", "reference"}
    assert set(steps["train"].config) == {"arm", "seed", "training", "text", "dtype", "reference"}
    assert set(steps["train"].config["training"]) == {
        *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "warmup_ratio"),
        *("lr_scheduler_type", "weight_decay", "max_grad_norm", "data_seed", "dtype", "gradient_checkpointing"),
    }


def test_data_and_plan_do_not_wait_for_the_supervised_stage(place: Workplace) -> None:
    """They read the tokenizer only, which training leaves as it is: their defects are told before it."""
    run = opened()
    before = in_order([*run.cells.plans, *run.cells.probing.probe_sets])
    assert "sft" not in {cell.step for cell in before}
    plain = opened("reference.sft=null", "aligned={}")
    assert [cell.digest for cell in run.cells.plans] == [cell.digest for cell in plain.cells.plans]
    assert run.cells.own_scores.digest != plain.cells.own_scores.digest


def test_several_references_from_one_checkpoint(place: Workplace) -> None:
    overrides = ["references={recipes: [sft, poft]}", "reference.sft.objective=sft", "seeds=[1, 2]"]
    runs = open_any(read_document(Path("mini.yaml")), overrides, registry([]))
    assert isinstance(runs, ReferenceRuns)
    cells = [member.run.cells.reference for member in runs.members]
    assert len({cell.digest for cell in cells if cell is not None}) == 4
    assert {cell.config["sft"]["seed"] for cell in cells if cell is not None} == {1, 2}
    steps = [cell.step for cell in runs.needed_cells()]
    assert (steps.count("sft"), steps.count("fit"), steps.count("aligned_file")) == (4, 1, 1)


def test_references_from_one_checkpoint_are_compared(place: Workplace) -> None:
    overrides = ["references={recipes: [sft, poft]}", "reference.sft.objective=sft", "methods={}"]
    suites = "suites={generation: {limit: 4, decoding: {max_new_tokens: 4}}}"
    runs = open_any(read_document(Path("mini.yaml")), [*overrides, suites], registry([]))
    assert isinstance(runs, ReferenceRuns)
    for cell in runs.needed_cells():
        compute(runs.members[0].run, cell)
    run_any(runs, "score")
    board = write_any(runs)
    assert {arm.arm for table in board.tables for arm in table.arms} == {"sft/n0/none", "poft/n0/none"}
    assert any(note.startswith('poft/n0: 10 rows, {"adam_beta1": 0.9,') for note in board.notes)


def test_the_chosen_responses_are_trained_on_without_rows_of_its_own(place: Workplace) -> None:
    summary = summary_of(made("reference.sft.data=null", "reference.sft.objective=sft"))
    assert (summary["rows"], summary["rows_that_do_not_fit"]) == (24, 0)


def test_an_adapter_is_merged_in_the_end(place: Workplace) -> None:
    """Whole weights, changed by what has the adapter's rank in the layers it names, and nowhere else."""
    run = opened("reference.sft.lora={r: 2, target_modules: q_proj}")
    reference = run.cells.reference
    assert reference is not None
    plain = opened().cells.reference
    assert plain is not None
    assert "peft" in reference.versions
    assert "peft" not in plain.versions
    found = forecast(run).supervised
    assert found is not None
    # Two layers of 64 x 64.
    assert (found.trainable, found.checkpoint) == (2 * 2 * (64 + 64), 4 * found.parameters)
    after = load_file(compute(run, reference) / "model/model.safetensors")
    for name, before in load_file("my-sft/model.safetensors").items():
        rank = int(torch.linalg.matrix_rank(after[name] - before, atol=1e-6)) if before.ndim == 2 else 0
        assert rank == (2 if "q_proj" in name else 0), name
        assert "q_proj" in name or torch.equal(after[name], before)
    with pytest.raises(ConfigError, match="leave out fsdp or lora"):
        opened("reference.sft.lora={}", "reference.sft.fsdp=true", "execution.processes=2")


def test_a_model_from_scratch_takes_rows_of_its_own_too(place: Workplace) -> None:
    run = opened(
        "reference={kind: scratch, model: {hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2}}",
        "reference.sft={batch_size: 4, data: {path: sft.jsonl}}",
    )
    assert summary_of(compute(run, run.cells.reference))["sequences"] == 10
    whole = opened("reference={kind: scratch}").cells.reference
    assert whole is not None
    assert set(whole.inputs) == {"preferences"}


def test_rows_that_a_suite_asks_are_left_out(place: Workplace) -> None:
    """In both stages."""
    asked = preference_row(105)["prompt"]
    write_lines("sft.jsonl", [{"prompt": asked, "response": "two"}, *ROWS])
    write_lines("scores.jsonl", [*SCORES, {"prompt": asked, "response": "two", "logp": -1.0, "tokens": 2}])
    assert summary_of(made())["rows"] == 11
    run = opened("data.contamination.policy=drop")
    reference = run.cells.reference
    assert reference is not None
    assert summary_of(compute(run, reference))["rows"] == 10
    read = summary_of(run.store.open(reference.inputs["supervised"]).folder)["supervised"]
    assert read == {"rows": 10, "rows_dropped": {}, "rows_overlapping": 1, "overlaps": {"data.eval exact": 1}}


def test_what_it_takes_is_planned(place: Workplace) -> None:
    run = opened("reference.sft.keep=0.55")
    found = forecast(run)
    supervised, dpo = found.supervised, found.trainings[0]
    assert supervised is not None
    assert supervised.certain == 16 * supervised.parameters == dpo.certain
    assert found.disk.checkpoints == 4 * (1 + len(found.trainings)) * supervised.parameters
    unread = OwedTokens(part="supervised", cells=1, sequences=None, tokens=None)
    assert unread in found.tokens
    compute(run, run.cells.supervised_file)
    # Six of the ten rows, twice, of 96 tokens at most.
    assert OwedTokens(part="supervised", cells=1, sequences=12, tokens=12 * 96) in forecast(run).tokens
    small = forecast(run, memory=1)
    assert small.supervised is not None
    assert any("reference.sft.gradient_checkpointing: true" in advice for advice in small.supervised.advice)
    with pytest.raises(TrainingError, match="reference: weights, gradients and optimizer state alone take"):
        check_possible(small)
    assert training_bytes(run.sweep, run.cells).keys() == {
        cell.digest for cell in needed_cells(run) if cell.step in ("train", "sft")
    }
    compute(run, run.cells.reference)
    assert forecast(run).supervised is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("reference.sft={}", "`reference.sft.learning_rate`: a checkpoint needs one of its own; usual for a 7B model"),
        ("reference.sft.learning_rate=null", "2e-5 with sft (zephyr-7b-sft-full) and 1e-6 with poft"),
        (
            "reference.sft.lora.target_modules=[q_prj]",
            "`reference.sft.lora.target_modules`: no layer of the reference is",
        ),
        ("reference.sft.batch_size=4", "did you mean `per_device_train_batch_size`?"),
        ("aligned={}", "`reference.sft.objective`: needs scores of aligned models"),
        ("aligned.theirs={kind: checkpoint, path: my-sft, sft: {}}", "unknown key `aligned.theirs.sft`"),
        ("data={kind: embedded}", "`reference.sft.data`: the embedded task has supervised rows of its own"),
        ("execution.processes=3", "3 ranks cannot share a step of reference.sft of 2 x 2 groups evenly"),
        ("reference.sft.fsdp=true", "`reference.sft.fsdp`: shards over the ranks of a training"),
        ("reference.sft.data.path=nowhere.jsonl", "nowhere.jsonl: no such file"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(place: Workplace, override: str, message: str) -> None:
    with pytest.raises(EpaBenchError) as caught:
        in_order([opened(override).cells.reference])  # type: ignore[list-item]
    assert message in str(caught.value)
    assert isinstance(caught.value, DataError if "nowhere" in override else ConfigError)
    assert not Path("runs/store/cells").exists()


def test_bad_rows_are_refused_by_row(place: Workplace) -> None:
    write_lines("sft.jsonl", [*ROWS, {"prompt": "a?", "response": ""}, {"text": "b"}])
    with pytest.raises(DataError) as caught:
        made()
    for words in ("sft.jsonl, row 11: empty response", "sft.jsonl, row 12: expected the columns prompt and response"):
        assert words in str(caught.value)
    write_lines("sft.jsonl", [])
    with pytest.raises(DataError, match=r"sft\.jsonl holds no usable supervised row"):
        made()
    write_lines("sft.jsonl", [*ROWS, {"prompt": "word " * 200, "response": "long"}])
    write_lines("scores.jsonl", [*SCORES, {"prompt": "word " * 200, "response": "long", "logp": -1.0, "tokens": 1}])
    with pytest.raises(DataError, match=r"sft\.jsonl, row 11: expected a prompt of at most 95 tokens"):
        made()
    assert summary_of(made("reference.sft.data.invalid_rows=drop"))["rows_that_do_not_fit"] == 1


def test_a_score_that_is_no_number(place: Workplace) -> None:
    Path("scores.jsonl").write_text(json.dumps(SCORES[0]).replace("-1.5", "NaN") + "\n")
    with pytest.raises(DataError, match=r"scores\.jsonl, row 1: logp"):
        made()


def test_a_base_without_a_chat_template(place: Workplace, save_checkpoint: Callable[..., Path]) -> None:
    save_checkpoint(chat_template=False)
    Path("my-sft/chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match="expected a chat template, the tokenizer has none; set `reference"):
        made()
    with pytest.raises(DataError, match=r"sft\.jsonl, row 1: expected a prompt as a string under `reference\.template"):
        made("reference.template=plain")
    Path("mine.jinja").write_text(
        "{% for m in messages %}<{{ m.role }}> {{ m.content }}{{ eos_token if m.role == 'assistant' }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant> {% endif %}"
    )
    run = opened("reference.sft.chat_template=mine.jinja")
    # Data are fitted to the template that is learnt, and the checkpoint has it.
    compute(run, run.cells.plans[0])
    folder = compute(run, run.cells.reference)
    assert load_tokenizer(folder / "model").chat_template == Path("mine.jinja").read_text()
    compute(run, run.cells.own_scores)
    with pytest.raises(ConfigError, match=r"`reference\.template` is plain; leave one of them out"):
        opened("reference.sft.chat_template=mine.jinja", "reference.template=plain")
    with pytest.raises(ConfigError, match=r"`reference\.sft\.chat_template`: cannot read nowhere"):
        made("reference.sft.chat_template=nowhere.jinja")
    plain = made("reference.template=plain", "reference.sft.data=null", "reference.sft.objective=sft")
    assert summary_of(plain)["rows"] == 24
