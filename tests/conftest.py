"""Fixtures shared by all rooms."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from epa_bench.core.errors import ConfigError
from epa_bench.engines.kinds import choose_engine
from epa_bench.execution.device import Device, resolve_device

# Started in the background, this process would ignore Ctrl-C, and so would everything it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Speed is measured in benchmarks; a busy machine must not fail a test.
settings.register_profile("epa-bench", deadline=None)
settings.load_profile("epa-bench")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data beside the checkout; tests that need it skip without it, and fail in CI without it."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        message = f"no real test data at {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def vllm_device() -> Device:
    """Where the installed vLLM runs; tests that need it skip without it, and fail in CI without it."""
    device = resolve_device("auto")
    try:
        choose_engine("vllm", device)
    except ConfigError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    return device


_MINI: dict[str, Any] = {
    "name": "mini",
    "reference": {
        "kind": "scratch",
        "model": {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "vocab_size": 320,
            "max_position_embeddings": 128,
            "initializer_range": 0.04,
        },
        "sft": {"num_train_epochs": 2, "batch_size": 32, "learning_rate": 6e-3},
    },
    "data": {
        "kind": "embedded",
        "sft_prompts": 600,
        "train_prompts": 24,
        "eval_prompts": 12,
        "responses": 3,
        "max_new_tokens": 12,
    },
    "methods": {
        "dpo": {"loss": "dpo", "beta": 0.5, "learning_rate": 3e-3},
        "dpo-nll": {"loss": "dpo", "beta": 0.5, "learning_rate": 3e-3, "nll": 0.2},
        "epa-1-1-2": {"loss": "epa", "beta": 0.5, "learning_rate": 3e-3, "weak": 2},
    },
    "seeds": [1, 2],
    "training": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "save_steps": 1},
    "engine": {"batch_size": 8},
    "suites": {
        "embedded_pairwise": {"decoding": {"max_new_tokens": 12}},
        "generation": {"decoding": {"max_new_tokens": 12}},
        "reward_accuracy": {},
        "linearity": {},
        "off_support": {},
    },
    "execution": {"device": "cpu", "workers": 1},
}
"""A whole sweep in some fifteen seconds: 7 checkpoints, five suites, enough training that no two arms are equal."""


@dataclass(frozen=True)
class Workplace:
    """A folder in which sweeps are run as a user runs them: the command line in a process of its own."""

    folder: Path

    def write(self, changes: Mapping[str, Any] | None = None, file: str = "mini.yaml") -> str:
        """Writes the mini sweep with some keys (`methods.dpo.beta`) set, or removed by None; gives the file's name."""
        sweep = deepcopy(_MINI)
        for dotted, value in (changes or {}).items():
            *above, key = dotted.split(".")
            part = sweep
            for name in above:
                part = part.setdefault(name, {})
            if value is None:
                del part[key]
            else:
                part[key] = value
        (self.folder / file).write_text(json.dumps(sweep, indent=1))
        return file

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        # Never the user's own cache of sources.
        environment = {**os.environ, "EPA_BENCH_CACHE": str(self.folder / "cache")}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        options = {"cwd": self.folder, **pipes, "text": True, "env": environment, **options}
        return subprocess.Popen([sys.executable, "-m", "epa_bench", *arguments], **options)

    def run(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def finish(self, *arguments: str) -> None:
        """Runs a sweep that must succeed."""
        done = self.run("run", *(arguments or ("mini.yaml",)))
        assert done.returncode == 0, done.stderr

    @property
    def store(self) -> Path:
        return self.folder / "runs" / "store"

    def cells(self) -> dict[tuple[str, str], Any]:
        """(step, digest) -> names and digests of the cell's files; none of that with seconds, never the same twice."""
        cells = {
            (path.parent.parent.name, path.parent.name): json.loads(path.read_text())["outputs"]
            for path in self.store.glob("cells/*/*/cell.json")
        }
        for outputs in cells.values():
            outputs.update({name: None for name in outputs if name == "training_speed.jsonl"})
        return cells

    def tables(self, name: str = "mini") -> dict[str, bytes]:
        """Everything a run writes outside its store."""
        files = [self.folder / "runs" / name / "rows.jsonl"]
        files += [self.folder / "leaderboards" / f"{name}.{suffix}" for suffix in ("md", "csv", "json")]
        return {path.name: path.read_bytes() for path in files}

    def copy(self, folder: Path, without: tuple[str, ...] = ()) -> "Workplace":
        """The same place elsewhere, the cells of some steps gone and the tables with them."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        place = Workplace(folder)
        for step in without:
            shutil.rmtree(place.store / "cells" / step)
        if without:
            shutil.rmtree(folder / "leaderboards")
        return place


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """An empty place with the mini sweep's file."""
    place = Workplace(tmp_path)
    place.write()
    return place


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """The mini sweep, run once without disturbance. For reading; `finished.copy` is for changing."""
    place = Workplace(tmp_path_factory.mktemp("finished"))
    place.write()
    # With two workers, everything after with one: results do not depend on it.
    place.finish("mini.yaml", "--set", "execution.workers=2")
    return place
