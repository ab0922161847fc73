"""Seals of checkpoints: what is whole, what was damaged since, and what is used then."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from epa_bench.core.notices import Notice
from epa_bench.training.seal import SEAL, SealCheckpoints, last_whole_checkpoint, newest_sealed


def checkpoint(folder: Path, step: int, *, sealed: bool = True, best: int | None = None) -> Path:
    """A checkpoint as the Trainer and the callback leave it, or one that was killed before the seal."""
    path = folder / f"checkpoint-{step}"
    (path / "nested").mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights of step %d" % step)
    (path / "nested" / "state.bin").write_bytes(b"state")
    (path / "trainer_state.json").write_text(json.dumps({"best_global_step": best}))
    if sealed:
        state = TrainerState(global_step=step)
        SealCheckpoints().on_save(TrainingArguments(output_dir=str(folder)), state, TrainerControl())
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_sealed_checkpoint_is_found_by_number(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 100, sealed=False)
    assert newest_sealed(tmp_path) == newest
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what any kill may leave is nothing to speak of
        assert last_whole_checkpoint(tmp_path) == newest
    assert left(tmp_path) == ["checkpoint-10", "checkpoint-9"]


def test_unfinished_checkpoints_alone_are_removed(tmp_path: Path) -> None:
    for step in (2, 4):
        checkpoint(tmp_path, step, sealed=False)
    assert newest_sealed(tmp_path) is None
    assert last_whole_checkpoint(tmp_path) is None
    assert left(tmp_path) == []


def test_without_a_folder_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert last_whole_checkpoint(tmp_path / "none") is None
    assert newest_sealed(tmp_path / "none") is None


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of the weights": (
        lambda path: flip_a_bit(path / "model.safetensors"),
        "model.safetensors is not what was written",
    ),
    "a bit of a nested file": (
        lambda path: flip_a_bit(path / "nested" / "state.bin"),
        "nested/state.bin is not what was written",
    ),
    "a file cut short": (
        lambda path: (path / "model.safetensors").write_bytes(b"wei"),
        "model.safetensors is not what was written",
    ),
    "a file gone": (lambda path: (path / "model.safetensors").unlink(), "model.safetensors is missing"),
    "the seal itself": (lambda path: (path / SEAL).write_bytes(b'{"model'), "its seal is unreadable"),
    "an empty seal": (lambda path: (path / SEAL).write_bytes(b""), "its seal is unreadable"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_left_out_with_a_notice(tmp_path: Path, damage: str) -> None:
    before = checkpoint(tmp_path, 2)
    spoil, what = DAMAGES[damage]
    spoil(checkpoint(tmp_path, 4))
    with pytest.warns(Notice) as said:
        assert last_whole_checkpoint(tmp_path) == before
    assert [str(warning.message) for warning in said] == [
        f"damaged, and therefore left out: checkpoint-4 ({what}). The training goes on from checkpoint-2, to the same "
        "result."
    ]
    assert left(tmp_path) == ["checkpoint-2"]


def test_where_all_are_damaged_the_training_starts_again(tmp_path: Path) -> None:
    for step in (2, 4):
        flip_a_bit(checkpoint(tmp_path, step) / "model.safetensors")
    with pytest.warns(Notice, match=r"checkpoint-4 .*checkpoint-2 .*starts from the beginning"):
        assert last_whole_checkpoint(tmp_path) is None
    assert left(tmp_path) == []


@pytest.mark.parametrize("damage", ["bit", "gone", "unsealed"])
def test_a_checkpoint_whose_best_is_damaged_is_no_use(tmp_path: Path, damage: str) -> None:
    """The run may end with the weights of its best evaluation."""
    best = checkpoint(tmp_path, 2, best=2)
    checkpoint(tmp_path, 6, best=2)
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-6"
    if damage == "bit":
        flip_a_bit(best / "model.safetensors")
    elif damage == "gone":
        best.rename(tmp_path / "elsewhere")
    else:
        (best / SEAL).unlink()
    with pytest.warns(Notice, match=r"checkpoint-6 \(the best so far, checkpoint-2: .*starts from the beginning"):
        assert last_whole_checkpoint(tmp_path) is None


def test_a_damaged_newest_leaves_the_best(tmp_path: Path) -> None:
    checkpoint(tmp_path, 2, best=2)
    flip_a_bit(checkpoint(tmp_path, 6, best=2) / "model.safetensors")
    with pytest.warns(Notice, match="goes on from checkpoint-2"):
        assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-2"
