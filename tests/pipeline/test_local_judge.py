"""A sweep whose judge is a checkpoint on this machine."""

import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from epa_bench.models.checkpoint import new_model, ready, save_checkpoint
from tests.pipeline.published import CHECKPOINTS, PROMPTS, QUESTIONS, Judged, judged_sweep, rows_of
from tests.tiny import SHAPE, head_of, tiny_tokenizer

if TYPE_CHECKING:
    from tests.conftest import Workplace


def write_judge(folder: Path, seed: int) -> Path:
    """A judge of random taste, which says m or M and little else."""
    tokenizer = tiny_tokenizer()
    model = ready(new_model(SHAPE.model_copy(update={"max_position_embeddings": 1024}), tokenizer, seed=seed), "cpu")
    taste = torch.randn(SHAPE.hidden_size, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for label, sign in (("m", 1.0), ("M", -1.0)):
            head_of(model).weight[tokenizer.convert_tokens_to_ids(label)] = 0.6 * sign * taste
    save_checkpoint(folder, model, tokenizer, {})
    return folder


def local(folder: Path, **settings: Any) -> dict[str, Any]:
    engine = {"dtype": "float32", "batch_size": 4}
    return {"kind": "local", "path": str(folder), "max_length": 1024, "top_logprobs": 20, "engine": engine, **settings}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_judge(tmp_path_factory.mktemp("judge"), 1)


def _verdict_cells(place: "Workplace") -> set[str]:
    return {digest for step, digest in place.cells() if step.startswith("judged_")}


def test_both_benchmarks(judged: Judged, judge: Path, tmp_path: Path) -> None:
    workplace = judged("", {"judge": local(judge)})
    workplace.finish()
    rows = rows_of(workplace)
    counts = Counter((row["suite"], row["metric"], row.get("error") is None) for row in rows)
    judged_pairs = counts["alpaca_eval_2", "win_rate", True], counts["alpaca_eval_2", "win_rate", False]
    assert sum(judged_pairs) == PROMPTS * CHECKPOINTS
    assert judged_pairs[0] > PROMPTS
    # It writes no rating: an error each, never a score.
    assert counts["mt_bench", "score", False] == 2 * len(QUESTIONS) * CHECKPOINTS
    wins = {row.get("value") for row in rows if row["metric"] == "win_rate"}
    assert len(wins) > 2
    table = workplace.tables()["mini.md"].decode()
    assert f"Judge: {judge.name} " in table

    before = _verdict_cells(workplace)
    # The same judge elsewhere is the same judge; another one is not.
    copied = Path(shutil.copytree(judge, tmp_path / "copied"))
    for folder, cells in ((copied, 1), (write_judge(tmp_path / "other", 2), 2)):
        workplace.write({**judged_sweep(workplace.folder), "judge": local(folder)})
        workplace.finish()
        assert len(_verdict_cells(workplace)) == cells * len(before)
    assert {row.get("value") for row in rows_of(workplace) if row["metric"] == "win_rate"} != wins


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": "nowhere"}, ["the judge", "`judge.path`", "no checkpoint folder at nowhere"]),
        ({"max_length": 4096}, ["max_length is 4096", "judge.max_length of a judge", "1024"]),
        ({"engine": {"script": "x.jsonl"}}, ["a judge has no script"]),
    ],
)
def test_a_judge_that_cannot_be_used(judged: Judged, judge: Path, changes: dict[str, Any], words: list[str]) -> None:
    done = judged("", {"judge": local(judge, **changes)}).run("run", "mini.yaml")
    assert done.returncode not in (0, 1)
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
