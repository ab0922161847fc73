"""The table of steps: every step can be loaded, and only those that run a model load torch."""

import importlib.util
import subprocess
import sys

import pytest

from epa_bench.steps.table import STEPS

WITHOUT_TORCH = {"aligned_file", "preferences_files", "supervised_files", "plan", "probes", "verdicts", "values"}


@pytest.mark.parametrize("name", STEPS)
def test_step_has_a_body_and_an_address(name: str) -> None:
    step = STEPS[name]
    versions = step.versions("cpu")
    assert set(versions) == {"code", *step.packages, *(["device"] if step.packages else [])}
    assert importlib.util.find_spec(f"epa_bench.steps.{step.module}") is not None


def test_device_is_part_of_the_address_of_what_runs_on_it() -> None:
    for name, step in STEPS.items():
        if name in ("train", "reference", "responses", "logps", "reference_scores"):
            assert step.versions("cpu") != step.versions("cuda")
    assert STEPS["verdicts"].versions("cpu") == STEPS["verdicts"].versions("cuda")


def test_steps_without_a_model_do_without_torch() -> None:
    code = f"""
import sys
from epa_bench.steps.table import STEPS
for name in {sorted(WITHOUT_TORCH)}:
    STEPS[name].load()
    print(name, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [word for name in sorted(WITHOUT_TORCH) for word in (name, "False")]
