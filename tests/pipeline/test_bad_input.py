"""What a user can get wrong: each ends in its exit code and a message that says where and what, and loses nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Workplace

NOBODY = 65534


def refused(place: "Workplace", code: int, *words: str, arguments: tuple[str, ...] = ("mini.yaml",)) -> str:
    """Runs, expects the code, the words and no traceback on stderr, and every earlier cell as it was."""
    before = place.cells()
    done = place.run("run", *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr, done.stderr
    assert before.items() <= place.cells().items()
    return done.stderr


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.save_step=3", ["unknown key `training.save_step`", "did you mean `save_steps`?"]),
        ("methods.dpo.learning_rate=true", ["`methods.dpo.learning_rate`", "expected a number", "true"]),
        ("methods.dpo.loss=dop", ["`methods.dpo.loss`", "expected one of epa, dpo", "did you mean 'dpo'?"]),
        ("methods.dpo.options={tau: 1}", ["`methods.dpo.options.tau`", "the dpo loss has no such option; it has none"]),
        ("methods.dpo.options.tau=1", ["`methods.dpo.options.tau`", "no such option"]),
        (
            "methods.dpo={loss: cdpo, options: {label_smoothing: 0.5}}",
            ["`methods.dpo.options.label_smoothing`", "at least 0 and below 0.5, got 0.5"],
        ),
        (
            "methods.dpo={loss: exo_pair, options: {label_smoothing: 0}}",
            ["`methods.dpo.options.label_smoothing`", "above 0 and below 0.5, got 0"],
        ),
        (
            "methods.dpo={loss: cdpo, options: {label_smoothing: true}}",
            ["`methods.dpo.options.label_smoothing`", "expected a number", "true"],
        ),
        ("methods.dpo={loss: cdpo, options: [0.1]}", ["`methods.dpo.options`", "expected keys and values"]),
        ("methods.dpo={loss: simpo, options: {gamm: 1}}", ["`methods.dpo.options.gamm`", "did you mean `gamma`?"]),
        ("methods.dpo.weak=2", ["`methods.dpo.weak`", "dpo loss takes at most 0"]),
        ("methods.epa-1-1-2.weak=8", ["8 weak negatives", "4 x 2 groups", "7 other prompts"]),
        (
            "execution.processes=3",
            ["`execution.processes`", "3 ranks cannot share a step of 4 x 2 groups", "divides 8"],
        ),
        ("execution.processes=0", ["`execution.processes`", "greater than or equal to 1"]),
        ("training.fsdp=true", ["`training.fsdp`", "`execution.processes` is 1; raise it"]),
        ("methods.reference={loss: dpo}", ["`methods.reference`", "choose another name"]),
        ("table.baseline=sft", ["`table.baseline`", "'sft'", "dpo, dpo-nll, epa-1-1-2"]),
        ("suites.alpaca_eval_2={}", ["`suites.alpaca_eval_2`", "the gold judge knows nothing of", "judge: {kind: api"]),
        ("suites.liniarity={}", ["unknown suite `liniarity`", "did you mean `linearity`?"]),
        ("suites.linearity.mismatched=-1", ["`suites.linearity.mismatched`", "greater than or equal to 0"]),
        ("suites.linearity.mismatch=2", ["`suites.linearity.mismatch`", "unknown key"]),
        ("name=../escape", ["`name`", "../escape"]),
        ("name=/tmp/escape", ["`name`"]),
        ("name=store", ["`name`", "choose another"]),
        ("data.max_length=200", ["`data.max_length`", "200 tokens", "max_position_embeddings", "128"]),
        ("training.lora.target_modules=[lm_head]", ["`training.lora.target_modules`", "lm_head", "is refused"]),
        (
            "training.lora.target_modules=[q_proj, v_prj]",
            ["`training.lora.target_modules`", "no layer of the reference is called v_prj", "q_proj, up_proj, v_proj"],
        ),
        ("nonsense", ["expected KEY=VALUE"]),
        ("=3", ["expected KEY=VALUE"]),
        ("seeds=[1, 1]", ["`seeds`", "all different"]),
        ("seeds=[", ["--set seeds=["]),
        ("training.optim=adamw", ["`training.optim`", "'adamw_torch'", "adamw"]),
        ("training.validation={rows: 4}", ["`training.validation.eval_steps` is required"]),
        ("training.validation={rows: 4, eval_step: 1}", ["`training.validation.eval_step`", "`eval_steps`?"]),
        ("output.report_to=tensorbord", ["`output.report_to`", "'tensorboard'", "tensorbord"]),
        ("execution.device=cuda", ["cuda"]) if not Path("/proc/driver/nvidia/version").exists() else ("x", []),
    ],
)
def test_setting_is_refused_before_anything_runs(setting: str, words: list[str], workplace: "Workplace") -> None:
    message = refused(workplace, 3, *words, arguments=("mini.yaml", "--set", setting))
    assert message.startswith("error: ")
    assert sorted(path.name for path in workplace.folder.iterdir()) == ["mini.yaml"]


def test_every_problem_of_a_file_is_named_by_its_line(workplace: "Workplace") -> None:
    workplace.write(
        {
            "trainning": {},
            "methods.dpo.beta": True,
            "methods.dpo-nll.options": {"tau": 1},
            "suites.nonesuch": {},
            "table": {"baseline": "x"},
        }
    )
    lines = (workplace.folder / "mini.yaml").read_text().splitlines()
    message = refused(workplace, 3, "5 problems in mini.yaml")
    for key in ('"trainning"', '"beta": true', '"tau"', '"nonesuch"', '"baseline"'):
        (number,) = (i for i, line in enumerate(lines, 1) if key in line)
        assert f"mini.yaml:{number}: " in message


@pytest.mark.skipif(find_spec("swanlab") is not None, reason="the tracker is installed")
def test_tracker_that_is_not_installed_is_named_before_anything_is_computed(workplace: "Workplace") -> None:
    workplace.write({"output.report_to": ["swanlab"]})
    lines = (workplace.folder / "mini.yaml").read_text().splitlines()
    (number,) = (i for i, line in enumerate(lines, 1) if "report_to" in line)
    refused(workplace, 3, f"mini.yaml:{number}: ", "`output.report_to`", "`pip install swanlab`")
    assert workplace.cells() == {}


def test_table_needs_no_tracker(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    assert place.run("table", "mini.yaml", "--set", "output.report_to=swanlab").returncode == 0


def test_sweep_file_that_is_not_there(workplace: "Workplace") -> None:
    refused(workplace, 3, "no sweep file other.yaml", "demo", arguments=("other.yaml",))
    refused(workplace, 3, "no sweep file", arguments=(".",))


def test_sweep_file_that_is_not_yaml(workplace: "Workplace") -> None:
    (workplace.folder / "mini.yaml").write_text("name: [1\n")
    refused(workplace, 3, "mini.yaml:2", "not valid YAML")
    (workplace.folder / "mini.yaml").write_bytes(b"\xff\xfe\x00")
    refused(workplace, 3, "cannot read mini.yaml")


def test_sweep_without_suites_has_no_table(workplace: "Workplace") -> None:
    workplace.write({"suites": {}})
    refused(workplace, 3, "`suites` names no suite")


def test_table_of_a_sweep_that_never_ran(workplace: "Workplace") -> None:
    done = workplace.run("table", "mini.yaml")
    assert done.returncode == 6
    assert "run the sweep first" in done.stderr


# Data


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({4: ""}, ["train.jsonl, row 4", "empty line"]),
        ({24: '{"prompt": "say", "cho'}, ["train.jsonl, row 24", "complete JSON"]),
        ({5: {"prompt": "say", "rejected": "b"}}, ["train.jsonl, row 5", "chosen missing"]),
        ({6: {"prompt": "say", "chosen": "a", "rejected": "a"}}, ["train.jsonl, row 6", "identical responses", "drop"]),
        ({7: {"prompt": "say", "chosen": " ", "rejected": "a"}}, ["train.jsonl, row 7", "empty response", "drop"]),
        (
            {8: {"prompt": "say", "chosen": "a", "rejected": ""}, 9: {"prompt": 3, "chosen": "a", "rejected": "b"}},
            ["2 problems", "train.jsonl, row 8", "train.jsonl, row 9", "drops and counts 1 of them"],
        ),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_bad_row_is_named(
    rows: dict[int, Any],
    words: list[str],
    workplace: "Workplace",
    write_rows: Callable[..., None],
    file_sweep: dict[str, Any],
) -> None:
    write_rows(rows)
    workplace.write(file_sweep)
    refused(workplace, 4, *words)


def test_loss_that_needs_gold_scores_names_the_rows_without(
    workplace: "Workplace", write_rows: Callable[..., None], file_sweep: dict[str, Any]
) -> None:
    write_rows()
    workplace.write({**file_sweep, "methods.dpo.loss": "infonca"})
    refused(workplace, 7, "training data for the infonca loss", "response 1 has no gold score", "train.jsonl, row ")


def test_data_file_that_is_not_there(workplace: "Workplace", file_sweep: dict[str, Any]) -> None:
    workplace.write(file_sweep)
    refused(workplace, 4, "train.jsonl: no such file", str(workplace.folder))


def test_gold_judge_is_refused_over_files(
    workplace: "Workplace", write_rows: Callable[..., None], file_sweep: dict[str, Any]
) -> None:
    """It would call every pair of answers a draw: a win rate of exactly 50 % for any model."""
    write_rows()
    del file_sweep["suites.embedded_pairwise"]
    workplace.write(file_sweep)
    refused(workplace, 3, "`suites.embedded_pairwise`", "the gold judge needs")
    assert not (workplace.folder / "runs").exists()


def test_linearity_over_data_without_scores_stops_before_training(
    workplace: "Workplace", write_rows: Callable[..., None], file_sweep: dict[str, Any]
) -> None:
    write_rows()
    del file_sweep["suites.linearity"]
    workplace.write(file_sweep)
    refused(workplace, 9, "linearity suite needs prompts with 3 or more", "no row whose responses all have one")
    assert not list(workplace.store.glob("cells/train/*"))


def test_long_prompt_is_refused_by_row(
    workplace: "Workplace", write_rows: Callable[..., None], file_sweep: dict[str, Any]
) -> None:
    """With `invalid_rows: drop` it is left out and counted: see the sweeps over real data."""
    write_rows({3: {"prompt": "q8 " * 60, "chosen": "ant", "rejected": "bell"}})
    workplace.write(file_sweep)
    refused(workplace, 4, "train.jsonl, row 3", "leaves less than 8 of 96", "data.invalid_rows: drop")


def test_more_weak_negatives_than_prompts_stops_before_training(
    workplace: "Workplace", write_rows: Callable[..., None], file_sweep: dict[str, Any]
) -> None:
    write_rows()
    workplace.write({**file_sweep, "methods.epa-1-1-2.weak": 24, "methods.epa-1-1-2.weak_pool": "dataset"})
    refused(workplace, 7, "expected 24 other prompts (weak) in the data set, got 23")
    assert "train" not in {step for step, _ in workplace.cells()}


# Training


def test_loss_that_is_not_finite_names_rows_and_the_last_good_checkpoint(
    workplace: "Workplace", write_rows: Callable[..., None], file_sweep: dict[str, Any]
) -> None:
    write_rows()
    workplace.write({**file_sweep, "methods.dpo.learning_rate": 1e30, "methods.epa-1-1-2": None})
    message = refused(workplace, 8, "is ", "over these rows:", "train.jsonl, row ")
    assert "The last good checkpoint is runs/store/staging/train-" in message or "No checkpoint was saved" in message


# The user's own reference


@pytest.fixture
def own_reference(file_sweep: dict[str, Any], write_rows: Callable[..., None]) -> dict[str, Any]:
    write_rows()
    return {**file_sweep, "reference": {"kind": "checkpoint", "path": "my-sft"}}


def test_reference_without_chat_template(
    workplace: "Workplace", own_reference: dict[str, Any], save_checkpoint: Callable[..., Path]
) -> None:
    save_checkpoint(chat_template=False)
    workplace.write(own_reference)
    refused(workplace, 5, "chat template", "reference.template: plain")


def test_tokenizer_without_eos(
    workplace: "Workplace", own_reference: dict[str, Any], save_checkpoint: Callable[..., Path]
) -> None:
    save_checkpoint(eos=False)
    workplace.write(own_reference)
    refused(workplace, 5, "EOS")


def test_reference_with_a_shorter_context_than_the_data(
    workplace: "Workplace", own_reference: dict[str, Any], save_checkpoint: Callable[..., Path]
) -> None:
    save_checkpoint(positions=64)
    workplace.write(own_reference)
    refused(workplace, 5, "max_length is 96", "a context of 64", "set data.max_length")
    assert not workplace.store.exists() or not workplace.cells()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: shutil.rmtree(folder), ["no checkpoint folder at my-sft"]),
        (lambda folder: (folder / "config.json").unlink(), ["config.json"]),
        (lambda folder: (folder / "model.safetensors").unlink(), ["*.safetensors"]),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"not weights"), ["cannot load a model", "my-sft"]),
    ],
    ids=["no folder", "no config", "no weights", "damaged weights"],
)
def test_broken_reference(
    damage: Callable[[Path], None],
    words: list[str],
    workplace: "Workplace",
    own_reference: dict[str, Any],
    save_checkpoint: Callable[..., Path],
) -> None:
    damage(save_checkpoint())
    workplace.write(own_reference)
    refused(workplace, 5, *words)


def test_targets_that_a_reference_on_disk_does_not_have(
    workplace: "Workplace", own_reference: dict[str, Any], save_checkpoint: Callable[..., Path]
) -> None:
    save_checkpoint()
    workplace.write({**own_reference, "training.lora": {"target_modules": ["c_attn"]}})
    refused(workplace, 3, "mini.yaml:", "`training.lora.target_modules`", "no layer of the reference is called c_attn")
    assert not (workplace.folder / "runs").exists()


def _on_a_wider_base(adapter: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, vocab_size=320
    )
    LlamaForCausalLM(config).save_pretrained(adapter.with_name("my-sft"))  # type: ignore[no-untyped-call]


def _pickle(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_on_a_wider_base, ["my-adapter belongs to another base", "64 x 64 there and 128 x 128 in my-sft"]),
        (_pickle, ["my-adapter holds no adapter_model.safetensors", "Pickled weights are not loaded"]),
        (
            lambda adapter: shutil.rmtree(adapter.with_name("my-sft")),
            ["`base_model_name_or_path` in my-adapter/adapter_config.json", "no checkpoint folder at my-sft"],
        ),
    ],
    ids=["another base", "pickled", "no base"],
)
def test_broken_adapter_as_reference(
    damage: Callable[[Path], object],
    words: list[str],
    workplace: "Workplace",
    own_reference: dict[str, Any],
    save_adapter: Callable[[], Path],
) -> None:
    damage(save_adapter())
    workplace.write({**own_reference, "reference.path": "my-adapter"})
    refused(workplace, 5, *words)
    assert not workplace.cells()


def test_adapter_as_reference_is_copied_with_its_own_settings(
    workplace: "Workplace", own_reference: dict[str, Any], save_adapter: Callable[[], Path]
) -> None:
    save_adapter()
    lora = {"r": 8, "lora_alpha": 8, "target_modules": ["q_proj"]}
    workplace.write({**own_reference, "reference.path": "my-adapter", "training.lora": lora})
    message = refused(workplace, 3, "2 problems", "`training.lora.r`", "its own r, 2", "leave the key out")
    assert "`training.lora.target_modules`" in message
    assert "lora_alpha" not in message
    assert not (workplace.folder / "runs").exists()


# The disk


def test_store_of_another_format(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    (place.store / "store.json").write_text('{"format": 999}')
    refused(place, 6, "format 999", "Nothing was changed")
    assert (place.store / "store.json").read_text() == '{"format": 999}'


def test_folder_that_is_no_store(workplace: "Workplace") -> None:
    workplace.store.mkdir(parents=True)
    (workplace.store / "thesis.tex").write_text("mine")
    refused(workplace, 6, "not an epa-bench store")
    assert [path.name for path in workplace.store.iterdir()] == ["thesis.tex"]


@pytest.fixture
def small_disk(workplace: "Workplace") -> Iterator[Path]:
    """A real file system of 2 MiB where the runs go."""
    folder = workplace.folder / "runs"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_keeps_what_was_finished(finished: "Workplace", workplace: "Workplace", small_disk: Path) -> None:
    refused(workplace, 6, "no space left", "run the same command again")
    kept = workplace.cells()
    assert "reference" in {step for step, _ in kept}
    assert kept.items() < finished.cells().items()

    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    workplace.finish()
    assert workplace.cells() == finished.cells()
    assert workplace.tables() == finished.tables()


def test_read_only_disk(workplace: "Workplace", small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused(workplace, 6, "no permission to write runs/", "choose another with --set output.folder=")
    assert not list(small_disk.iterdir())


@pytest.fixture
def foreign_place(finished: "Workplace") -> Iterator["Workplace"]:
    """A copy of the finished run that belongs to a user without rights, where that user can reach it."""
    if os.getuid() != 0:
        pytest.skip("changing the user needs root")
    with tempfile.TemporaryDirectory() as folder:
        place = finished.copy(Path(folder))
        for path in [Path(folder), *Path(folder).rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        yield place


def run_as_nobody(place: "Workplace", *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Everything is imported before the rights are dropped: the interpreter itself may be out of that user's reach."""
    code = f"""
import email.parser, os, sys
import epa_bench.leaderboard.render, epa_bench.pipeline.table, epa_bench.pipeline.summaries
from epa_bench.cli import main
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
main()
"""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=place.folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("locked", ["runs", "leaderboards"])
def test_folder_without_permission(locked: str, foreign_place: "Workplace") -> None:
    (foreign_place.folder / "locked").mkdir(mode=0o555)
    setting = "output.folder=locked/runs" if locked == "runs" else "output.leaderboards=locked/leaderboards"
    done = run_as_nobody(foreign_place, "run", "mini.yaml", "--set", setting)
    assert done.returncode == 6, done.stderr
    assert "no permission to write locked" in done.stderr
    assert "Traceback" not in done.stderr


def test_data_without_permission(
    foreign_place: "Workplace", workplace: "Workplace", write_rows: Callable[..., None], file_sweep: dict[str, Any]
) -> None:
    write_rows()
    for name in ("train.jsonl", "eval.jsonl"):
        shutil.copy(workplace.folder / name, foreign_place.folder / name)
    (foreign_place.folder / "train.jsonl").chmod(0o000)
    foreign_place.write(file_sweep)
    done = run_as_nobody(foreign_place, "run", "mini.yaml")
    assert done.returncode == 4, done.stderr
    assert "train.jsonl" in done.stderr
    assert "Traceback" not in done.stderr


def test_json_path_that_is_a_folder_is_refused_at_once(workplace: "Workplace") -> None:
    refused(workplace, 3, "--json", "directory", arguments=("mini.yaml", "--json", "."))
    assert not (workplace.folder / "runs").exists()


def test_figures_are_valid_json_with_every_digit(finished: "Workplace", workplace: "Workplace") -> None:
    place = finished.copy(workplace.folder)
    done = place.run("table", "mini.yaml", "--json", "figures.json")
    assert done.returncode == 0
    assert (place.folder / "figures.json").read_bytes() == finished.tables()["mini.json"]
    assert json.loads((place.folder / "figures.json").read_text())["baseline"] == "dpo"
