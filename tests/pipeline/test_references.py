"""A sweep with several references: what they share is computed once, each is the plain sweep it stands for."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from epa_bench.config.yaml12 import load_document, read_document
from epa_bench.core.errors import ConfigError
from epa_bench.leaderboard.board import Leaderboard
from epa_bench.pipeline.any_run import open_any
from epa_bench.pipeline.reference_runs import ReferenceRuns
from epa_bench.pipeline.run import open_run
from epa_bench.suites.registry import registry, sweep_path
from tests.conftest import Workplace

ALIGNED = {
    "kind": "scratch",
    "model": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": 320,
        "initializer_range": 0.04,
    },
    "sft": {"num_train_epochs": 1, "batch_size": 32, "learning_rate": 6e-3},
    "data": {"kind": "embedded", "sft_prompts": 300, "correct": 0.9, "off_topic": 0.0, "seed": 1},
}
OTHER_TOKENS = {**ALIGNED, "model": {**ALIGNED["model"], "vocab_size": 400}}  # type: ignore[dict-item]
CHANGES: Mapping[str, Any] = {
    "references": {"recipes": ["sft", "poft"], "swapped": [0.5]},
    "aligned": {"one": ALIGNED, "two": OTHER_TOKENS},
    "data.sft_prompts": 200,
    "methods.dpo-nll": None,
    "methods.epa-1-1-2": None,
    "suites.embedded_pairwise": None,
    "suites.linearity": None,
    "suites.off_support": None,
}


def shipped(*overrides: str) -> ReferenceRuns:
    opened = open_any(read_document(sweep_path("poft")), overrides, registry())
    assert isinstance(opened, ReferenceRuns)
    return opened


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Two recipes and two seeds, under 50 % swapped outputs, with DPO from each."""
    place = Workplace(tmp_path_factory.mktemp("references"))
    place.write(CHANGES)
    place.finish("mini.yaml")
    return place


def test_the_shipped_sweep_scores_each_corpus_once_by_each_aligned_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For 45 references: 2 aligned models x 3 shares of noise."""
    monkeypatch.chdir(tmp_path)
    runs = shipped()
    steps = Counter(cell.step for cell in runs.needed_cells())
    assert len(runs.members) == 5 * 3 * 3
    assert steps["aligned_scores"] == 2 * 3
    # The aligned models are references of nobody.
    assert steps["reference"] == 45 + 2
    assert steps["train"] == 45 * 2


def test_a_reference_is_that_of_the_plain_sweep_it_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a sweep with one reference finds in the store what a sweep with several made."""
    monkeypatch.chdir(tmp_path)
    (member,) = shipped("references.recipes=filter+poft", "references.swapped=0.25", "seeds=[7]").members
    plain = [
        "references=null",
        "seeds=[7]",
        "reference.sft={objective: poft, keep: 0.5, seed: 7, batch_size: 64, learning_rate: 1.5e-3, "
        "num_train_epochs: 2, warmup_ratio: 0.05}",
        "data.swapped=0.25",
    ]
    alone = open_run(read_document(sweep_path("poft")), plain, registry())
    assert [cell.digest for cell in alone.cells.plans] == [cell.digest for cell in member.run.cells.plans]
    assert [c.cell for c in alone.cells.checkpoints] == [c.cell for c in member.run.cells.checkpoints]


def test_scores_are_computed_once_for_all_references(grid: Workplace) -> None:
    steps = Counter(step for step, _ in grid.cells())
    assert (steps["reference"], steps["aligned_scores"], steps["train"]) == (4 + 2, 2, 4)


def test_each_model_scores_in_its_own_tokens(grid: Workplace) -> None:
    """The same rows, other numbers of tokens; every row has both scores."""
    scores = [
        [json.loads(line) for line in (grid.store / "cells" / step / digest / "scores.jsonl").read_text().splitlines()]
        for step, digest in grid.cells()
        if step == "aligned_scores"
    ]
    first, second = scores
    assert [(row["prompt"], row["response"]) for row in first] == [(row["prompt"], row["response"]) for row in second]
    assert len(first) == 200
    assert sum(row["tokens"] for row in first) != sum(row["tokens"] for row in second)


def test_taus_quantiles_are_logged(grid: Workplace) -> None:
    logs = [path.read_text() for path in grid.store.glob("cells/reference/*/training_log.jsonl")]
    taus = [json.loads(log.splitlines()[-1]) for log in logs if "tau/q50" in log]
    assert len(taus) == 2
    for tau in taus:
        assert 0 < tau["tau/q05"] < tau["tau/q50"] < tau["tau/q95"] < 1


def test_margins_within_and_between_references(grid: Workplace) -> None:
    """Repeated from the rows: paired by seed and prompt, each against its own opponent."""
    rows = pd.read_json(grid.folder / "runs" / "mini" / "rows.jsonl", lines=True)
    gold = rows[rows["metric"] == "gold_reward"].groupby("arm")["value"].mean()
    assert set(gold.index) == {f"{recipe}/n50/{arm}" for recipe in ("sft", "poft") for arm in ("none", "dpo")}
    assert set(rows["seed"]) == {1, 2}
    within, between = (
        Leaderboard.model_validate_json((grid.folder / "leaderboards" / f"{name}.json").read_bytes())
        for name in ("mini", "mini-references")
    )
    (table,) = (each for each in within.tables if each.metric == "gold_reward")
    for result in table.arms:
        if result.margin is not None:
            own = f"{result.arm.rpartition('/')[0]}/dpo"
            assert result.margin.against == own
            assert result.margin.value == pytest.approx(gold[result.arm] - gold[own])
    assert {each.suite for each in between.tables} == {"generation"}
    (table,) = (each for each in between.tables if each.metric == "gold_reward")
    for result in table.arms:
        if result.arm.startswith("poft"):
            opponent = f"sft{result.arm.removeprefix('poft')}"
            assert result.margin is not None
            assert (result.margin.against, result.margin.seeds) == (opponent, (1, 2))
            assert result.margin.value == pytest.approx(gold[result.arm] - gold[opponent])


def test_the_tables_are_what_the_rows_give_and_say_what_made_each_reference(grid: Workplace) -> None:
    done = grid.run("table", "mini.yaml", "--check")
    assert done.returncode == 0, done.stderr
    text = (grid.folder / "leaderboards" / "mini.md").read_text()
    assert "Aligned models: one, two; 400 rows scored in 2 cells, for all 4 references." in text
    assert '"objective": "poft"' in text


def problems(tmp_path: Path, *overrides: str) -> str:
    place = Workplace(tmp_path)
    text = (place.folder / place.write(CHANGES)).read_text()
    with pytest.raises(ConfigError) as caught:
        open_any(load_document(text, "mini.yaml"), overrides, registry())
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("aligned={}", "`references.recipes`: poft need scores of aligned models"),
        ("references.recipes=[poff]", "`references.recipes.0`: expected 'sft', 'poft'"),
        ("data.swapped=0.1", "`data.swapped`: leave it out, `references.swapped` sets it"),
        ("reference.sft.objective=poft", "`reference.sft`: leave out objective and keep"),
        ("methods.dpo.seeds=[3]", "`methods.dpo.seeds`: leave it out"),
        ("aligned.one.sft.objective=poft", "`aligned.one.sft`: an aligned model is trained by sft"),
        ("aligned.one.model.max_position_embeddings=64", "`aligned.one.model.max_position_embeddings`: 64, but"),
        ("aligned.one.kind=llm", "`aligned.one.kind`: expected scratch or checkpoint or scores"),
        ("suites.alpaca_eval_2={}", "`suites.alpaca_eval_2`: a judge that costs"),
        ("reference={kind: checkpoint, path: x}", "`references`: the sweep makes them"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(tmp_path: Path, override: str, message: str) -> None:
    found = problems(tmp_path, override)
    assert message in found
    assert "mini.yaml:" in found or f"--set {override}" in found


def test_poft_alone_needs_aligned_models(tmp_path: Path) -> None:
    message = problems(tmp_path, "references=null", "aligned={}", "reference.sft.objective=poft")
    assert "`reference.sft.objective`: needs scores of aligned models; name some in `aligned`" in message


def test_a_verb_for_one_reference_says_so(grid: Workplace) -> None:
    done = grid.run("plan", "mini.yaml")
    assert done.returncode == 3
    assert "this verb takes a sweep with one reference" in done.stderr


def test_without_methods_references_are_compared_as_they_are(grid: Workplace) -> None:
    """From the same cells: nothing is computed, and the margins are those of the table with methods."""
    done = grid.run("table", "mini.yaml", "--set", "methods={}", "--set", "name=bare")
    assert done.returncode == 0, done.stderr
    bare, whole = (
        Leaderboard.model_validate_json((grid.folder / "leaderboards" / f"{name}.json").read_bytes())
        for name in ("bare", "mini-references")
    )
    for table, other in zip(bare.tables, whole.tables, strict=True):
        assert table.arms == tuple(result for result in other.arms if result.arm.endswith("/none"))
