"""Checkpoints that a training resumes from: sealed once they are whole, checked against the seal before use."""

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from epa_bench.core.digest import file_sha256
from epa_bench.core.files import write_json
from epa_bench.core.notices import notice
from epa_bench.training.distributed import wait_for_ranks

SEAL = "complete"
"""Holds the sha256 of every other file. A kill while a checkpoint is written leaves one without it."""


class SealCheckpoints(TrainerCallback):
    """Seals a checkpoint once all of it is written."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # Each rank has written a part of it.
        wait_for_ranks()
        if not state.is_world_process_zero:
            return
        folder = checkpoint_at(Path(str(args.output_dir)), state.global_step)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        write_json(folder / SEAL, {path.relative_to(folder).as_posix(): file_sha256(path) for path in files})


def checkpoint_at(folder: Path, step: int) -> Path:
    """Where the Trainer puts the checkpoint of an optimizer step."""
    return folder / f"checkpoint-{step}"


def newest_sealed(folder: Path) -> Path | None:
    """The newest checkpoint with a seal, its files not looked at."""
    return next((path for path in _newest_first(folder) if (path / SEAL).is_file()), None)


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is as it was sealed; those after it are deleted.

    Where the best checkpoint of the run is kept, it must be whole as well: the run may end with its weights. Of a
    damaged checkpoint there is a notice; one that was never finished is what every kill may leave.
    """
    damaged: list[str] = []
    for path in _newest_first(folder):
        if (path / SEAL).is_file():
            what = _damage(path) or _damage_of_best(path)
            if what is None:
                _tell(damaged, f"goes on from {path.name}")
                return path
            damaged.append(f"{path.name} ({what})")
        shutil.rmtree(path)
    _tell(damaged, "starts from the beginning")
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)


def _damage(folder: Path) -> str | None:
    """What of a checkpoint is not as it was sealed, or None."""
    try:
        sealed = json.loads((folder / SEAL).read_bytes())
    except ValueError:
        return "its seal is unreadable"
    for name, digest in sealed.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if file_sha256(folder / name) != digest:
            return f"{name} is not what was written"
    return None


def _damage_of_best(folder: Path) -> str | None:
    step = json.loads((folder / TRAINER_STATE_NAME).read_bytes())["best_global_step"]
    best = folder if step is None else checkpoint_at(folder.parent, step)
    if best == folder:
        return None
    what = _damage(best) if (best / SEAL).is_file() else "it is missing"
    return None if what is None else f"the best so far, {best.name}: {what}"


def _tell(damaged: list[str], then: str) -> None:
    if damaged:
        notice(f"damaged, and therefore left out: {', '.join(damaged)}. The training {then}, to the same result.")
