"""Neither the order of keys in a sweep file nor Python's hash seed is part of a recipe."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from epa_bench.config.yaml12 import dump_yaml, load_document
from epa_bench.pipeline.run import open_run, stage_cells
from epa_bench.suites.registry import registry

REPOSITORY = Path(__file__).resolve().parents[2]
SWEEP = REPOSITORY / "suites" / "sweeps" / "demo.yaml"


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def cells_of(text: str, store: Path) -> dict[str, str]:
    """Label -> address of everything the sweep ends in."""
    run = open_run(load_document(text, "sweep.yaml"), [f"output.folder={store}"], registry())
    return {cell.label: cell.digest for stage in ("train", "score") for cell in stage_cells(run, stage)}


def test_the_order_of_keys_changes_no_address(tmp_path: Path) -> None:
    text = SWEEP.read_text()
    data = load_document(text, "sweep.yaml").data
    turned = dump_yaml(reversed_keys(data))
    assert list(load_document(turned, "turned").data) == list(reversed(data))
    cells = cells_of(text, tmp_path)
    assert len(cells) > 30
    assert cells_of(turned, tmp_path) == cells
    # What a recipe is about does change it.
    assert cells_of(text.replace("beta: 0.5", "beta: 0.4"), tmp_path) != cells


def test_the_hash_seed_changes_no_address(tmp_path: Path) -> None:
    program = (
        "import json, sys; from pathlib import Path; from tests.invariants.test_key_order import SWEEP, cells_of; "
        "print(json.dumps(cells_of(SWEEP.read_text(), Path(sys.argv[1]))))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
    ).stdout
    assert json.loads(output) == cells_of(SWEEP.read_text(), tmp_path)
