"""The KL suite in a sweep: every checkpoint's answers, drawn at 1, under itself and the reference."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from tests.conftest import Workplace


def test_kl_of_every_checkpoint(finished: "Workplace", tmp_path: Path) -> None:
    place = finished.copy(tmp_path)
    before = place.cells()
    place.write({"suites": {"kl": {"decoding": {"max_new_tokens": 12}}}, "name": "kl"}, "kl.json")
    place.finish("kl.json")
    new = [step for step, _ in place.cells().keys() - before.keys()]
    # The answers are those of the other suites: the same decoding.
    assert sorted(set(new)) == ["kl_values", "sample_logps"]
    rows = pd.read_json(place.folder / "runs" / "kl" / "rows.jsonl", lines=True)
    assert set(rows["arm"]) == {"dpo", "dpo-nll", "epa-1-1-2"}
    scored = rows.pivot_table(index=["arm", "seed", "prompt_id"], columns="metric", values="value")
    assert len(scored) > 0.9 * 6 * 12
    k1, k3 = scored["kl_k1"].to_numpy(dtype=float), scored["kl_k3_tokens"].to_numpy(dtype=float)
    assert (k3 > 0).all()
    assert abs(k3.mean() - k1.mean()) < 4 * k1.std() / len(k1) ** 0.5
    assert (
        "matching it needs `generation`" in json.loads((place.folder / "runs/kl/board.json").read_text())["notes"][-1]
    )


def test_another_temperature_is_refused(workplace: "Workplace") -> None:
    workplace.write({"suites": {"kl": {"decoding": {"temperature": 0.7}}}})
    done = workplace.run("run", "mini.yaml")
    assert done.returncode == 3
    assert "answers of the policy itself, which are drawn at 1, got 0.7" in done.stderr
