"""alpaca_eval's own length-controlled win rate, and that running it leaves no trace in the process."""

import csv
import gzip
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from epa_bench.core.errors import SuiteError
from epa_bench.suites.alpaca_eval_package import OfficialFit, official_length_controlled


def fit_of(folder: Path, model: str) -> OfficialFit:
    with gzip.open(folder / "compact" / f"{model}.jsonl.gz") as file:
        rows = [json.loads(line) for line in file]
    lengths, references, index = (np.array([row[key] for row in rows]) for key in ("l2", "l1", "i"))
    preferences = np.array([row["p"] for row in rows])
    return official_length_controlled(preferences, lengths, references, index, folder / "df_gamed_synthetic.csv")


@pytest.mark.parametrize(
    "model",
    [
        "FuseChat-Llama-3.1-8B-Instruct",
        "NullModel",
        "alpaca-7b_verbose",
        "claude-2.1",
        "gpt-3.5-turbo-1106",
        "minotaur-13b",
        "vicuna-7b-v1.5",
    ],
)
def test_golden_values_for_complete_and_incomplete_models(model: str, shared_data: Path) -> None:
    """alpaca-7b_verbose has 802 rows, minotaur-13b 804: joined by position, both would be more than a point higher."""
    with (shared_data / "alpaca_eval" / "golden_lc_synthetic.csv").open() as file:
        golden = {row["model"]: float(row["lc_by_instruction"]) for row in csv.DictReader(file)}
    assert fit_of(shared_data / "alpaca_eval", model).lc_win_rate == pytest.approx(golden[model], abs=0.15)


def test_the_process_is_left_as_it_was(shared_data: Path, tmp_path: Path) -> None:
    """In a process of its own, where the package is imported for the first time, by a user without a name."""
    script = f"""
import logging, os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from tests.suites.test_alpaca_eval_package import fit_of
import sklearn
before = (logging.getLogger().level, logging.getLogger().handlers[:], dict(os.environ), sklearn.get_config())
fit_of(Path({str(shared_data / "alpaca_eval")!r}), "minotaur-13b")
after = (logging.getLogger().level, logging.getLogger().handlers[:], dict(os.environ), sklearn.get_config())
assert before == after, (before, after)
assert "torch" not in sys.modules
"""
    environment = {key: value for key, value in os.environ.items() if key not in ("USER", "LOGNAME")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    spec = importlib.util.find_spec("alpaca_eval")
    assert spec is not None
    assert spec.origin is not None
    assert not list(Path(spec.origin).parent.rglob("baseline_reference.csv"))


def test_package_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "alpaca_eval.metrics", None)
    ones = np.ones(1)
    with pytest.raises(SuiteError, match=r"alpaca-eval, which length control runs, cannot be imported .*setuptools"):
        official_length_controlled(ones, ones.astype(int), ones.astype(int), ones.astype(int), tmp_path / "f.csv")
