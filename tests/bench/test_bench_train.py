"""From measurements to rows, the measuring process, and the command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from epa_bench.bench import train
from epa_bench.bench.rows import Job, Row
from epa_bench.bench.train import measure_training, rows_of
from epa_bench.cli import app
from epa_bench.core.errors import WorkerError
from tests.bench.micro import HEAD, measured, micro_case

FIELDS = {
    *("case", "peer", "P", "R", "K", "vocabulary", "seconds_ours", "seconds_peer", "ratio"),
    *("peak_mib_ours", "peak_mib_peer", "loss_difference", "tokens_per_second_ours", "tokens_per_second_peer"),
}


def test_a_row_by_hand() -> None:
    (row,) = rows_of(micro_case(peers=("trl",)), measured(), {"ours": 10.0, "trl": 35.0})
    assert (row.seconds_ours, row.seconds_peer) == (2.0, 8.0)
    # Medians of the rounds' ratios 2, 4, 3; not the ratio of the medians, which is 4.
    assert (row.ratio, row.ratio_low, row.ratio_high) == (3.0, 2.0, 4.0)
    assert (row.tokens_per_second_ours, row.tokens_per_second_peer) == (50.0, 12.5)
    assert (row.peak_mib_ours, row.peak_mib_peer) == (10.0, 35.0)
    assert row.loss_difference == pytest.approx(0.004)
    assert row.loss_moved == pytest.approx(0.2)
    assert (row.P, row.R, row.K, row.vocabulary, row.rounds) == (12, 9, 2, 300, 3)


def test_a_peer_that_is_not_there() -> None:
    case = micro_case(peers=("trl", "trl-online"))
    there, missing = rows_of(case, measured(missing={"trl-online": "trl not installed"}), {})
    assert there.note == ""
    assert missing.note == "trl not installed"
    assert missing.seconds_ours == 2.0
    assert missing.seconds_peer is missing.ratio is missing.loss_difference is None


def test_losses_of_two_methods_are_not_compared() -> None:
    seconds, losses = {"ours": (1.0,), "ours-dpo": (0.5,)}, {"ours": (1.4, 1.3), "ours-dpo": (0.7, 0.6)}
    (row,) = rows_of(micro_case(peers=("ours-dpo",), weak=2), measured(seconds=seconds, losses=losses), {})
    assert row.ratio == 0.5
    assert row.loss_difference is None


def test_nan_is_refused() -> None:
    with pytest.raises(ValidationError):
        measured(losses={"ours": (float("nan"),)})


def test_a_process_that_dies_is_named_with_its_last_words() -> None:
    with pytest.raises(WorkerError, match=r"ours and trl on DPO died: ValueError: too many values to unpack"):
        # DPOTrainer takes pairs only.
        measure_training([micro_case(peers=("trl",), weak=1)], 1, "cpu")


def test_a_measuring_process_ends_with_its_parent() -> None:
    """Whatever it is doing: here it would measure for minutes."""
    job = Job(case=micro_case(), sides=("obvious",), rounds=100_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "epa_bench.bench.measure", "cpu"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    process.communicate(job.model_dump_json() + "\n", timeout=120)
    assert process.returncode == 0


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of their own; logits of 78 MiB that only the peer holds."""
    wide = HEAD.model.model_copy(update={"vocab_size": 40_000})
    head = HEAD.model_copy(update={"response": 512, "model": wide, "memory": True})
    monkeypatch.setattr(train, "cases", lambda mode: [micro_case(), head])
    out = tmp_path / "made" / "performance.md"
    done = CliRunner().invoke(app, ["bench", "train", "--quick", "--out", str(out), "--json", "-"])
    assert done.exit_code == 0, done.output

    step, head_row = json.loads(done.stdout)
    assert set(step) == set(head_row) >= FIELDS
    assert step["peak_mib_ours"] is None
    if sys.platform == "linux":
        assert head_row["peak_mib_ours"] < 512 * 40_000 * 4 / 2**20 < head_row["peak_mib_peer"]
    assert Row.model_validate_json(json.dumps(step)).rounds == 5

    assert done.stderr.splitlines()[0] == "[1/2] DPO P=12 R=9 K=2 V=300 against obvious"
    text = out.read_text()
    assert "| DPO | obvious | 12 | 9 | 2 | 300 | 4 |" in text
    assert f"{step['seconds_ours']:.3g}" in text


def test_help() -> None:
    done = CliRunner().invoke(app, ["bench", "train", "--help"])
    assert done.exit_code == 0
    for option in ("--quick", "--json", "--out"):
        assert option in done.stdout
