"""The process of a cell on a node: what it is given, what is kept of it, and how its death is told."""

import json
import sys
from pathlib import Path

import pytest

from epa_bench.core.cell_messages import Done, Failed, Moved, parse_message
from epa_bench.core.errors import StoreError
from epa_bench.execution.cell_process import CellProcess

TOY = """
import json, os, signal, sys
from pathlib import Path
match sys.argv[1]:
    case "environment":
        Path(sys.argv[2]).write_text(json.dumps(dict(os.environ)))
        print("a launcher's word")
        print('{"kind": "moved", "done": 1, "total": 2}', flush=True)
        print("chatter", file=sys.stderr)
        print('{"kind": "done"}')
    case "fails":
        print('{"kind": "failed", "error": "DataError", "message": "row 7"}')
        sys.exit(4)
    case "killed":
        print('{"kind": "moved", "done": 1, "total": 2}', flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    case "silent":
        sys.exit(0)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "toy_cell.py").write_text(TOY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(path for path in sys.path if path)}")
    return str(tmp_path / "abc.0")


@pytest.mark.parametrize(("gpus", "seen"), [(1, "3"), (0, "")])
def test_it_gets_what_the_cluster_gave_and_nothing_of_the_clusters_own(
    log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, seen: str
) -> None:
    for name, value in {"RAY_JOB_ID": "7", "VLLM_DP_RANK": "1", "HF_HOME": "/hub", "CUDA_VISIBLE_DEVICES": "3"}.items():
        monkeypatch.setenv(name, value)
    command = ("toy_cell", "environment", str(tmp_path / "environment.json"))
    end = CellProcess(command, log, threads=4, gpus=gpus)()
    assert parse_message(end) == Done()
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert not {name for name in environment if name.startswith(("RAY_", "VLLM_DP_"))}
    assert environment["HF_HOME"] == "/hub"
    assert environment["CUDA_VISIBLE_DEVICES"] == seen
    assert environment["OMP_NUM_THREADS"] == "4"
    told = [parse_message(line) for line in Path(f"{log}.out").read_text().splitlines()]
    assert told == [None, Moved(done=1, total=2), Done()]
    assert Path(f"{log}.err").read_text() == "chatter\n"


def test_its_last_word_is_kept(log: str) -> None:
    end = CellProcess(("toy_cell", "fails"), log, threads=1, gpus=0)()
    assert parse_message(end) == Failed(error="DataError", message="row 7")


@pytest.mark.parametrize(
    ("how", "told"), [("killed", "killed by SIGKILL"), ("silent", "ended by exit code 0 without a word")]
)
def test_a_death_is_no_message(log: str, how: str, told: str) -> None:
    end = CellProcess(("toy_cell", how), log, threads=1, gpus=0)()
    assert parse_message(end) is None
    assert end.startswith(f"{told}, log {log}.err on ")


def test_a_store_that_the_node_does_not_see(tmp_path: Path) -> None:
    end = parse_message(CellProcess(("toy_cell",), str(tmp_path / "absent" / "abc.0"), threads=1, gpus=0)())
    assert isinstance(end, Failed)
    error = end.raised()
    assert isinstance(error, StoreError)
    assert f"does not see {tmp_path / 'absent'}: the store and the sweep's folder must be on a file system" in str(
        error
    )
