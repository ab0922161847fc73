"""What a step is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from epa_bench.core.cell import Cell
from epa_bench.core.files import read_records
from epa_bench.core.records import Preference, Record

_R = TypeVar("_R", bound=Record)

Report = Callable[[int, int], None]
"""report(done, total): how far the step is."""


ALIGNED = "aligned "
"""Before an aligned model's name among the inputs of a cell."""


@dataclass(frozen=True)
class StepContext:
    """The cell's recipe with its inputs opened, and the folder to write to."""

    config: Mapping[str, Any]
    hints: Mapping[str, Any]
    inputs: Mapping[str, Cell]

    folder: Path
    """Staging folder; becomes the cell. May hold what a killed attempt left if the step resumes."""

    device: str
    report: Report

    def records(self, name: str, file: str, kind: type[_R]) -> list[_R]:
        """Rows of an input cell's file."""
        return read_records(self.inputs[name].file(file), kind)

    def preferences(self, split: str) -> list[Preference]:
        """The preference rows of the sweep, `train` or `eval`."""
        return self.records("preferences", f"{split}.jsonl", Preference)

    def reference_folder(self) -> Path:
        """Folder of the reference's weights: made by the sweep, or the user's own."""
        if "reference" in self.inputs:
            return checkpoint_folder(self.inputs["reference"])
        return Path(self.hints["reference_path"])

    def base_folder(self) -> Path:
        """Folder of the weights below every adapter of the sweep: the reference, or what that is an adapter of."""
        if self.reference_is_adapter:
            return Path(self.hints["reference_base"])
        return self.reference_folder()

    @property
    def reference_is_adapter(self) -> bool:
        """Whether the user's own reference is a LoRA adapter on another checkpoint."""
        return "reference_base" in self.hints

    def reference_identity(self) -> str:
        """Digest of the reference: of its recipe if the sweep made it, of its content if it is the user's own."""
        if "reference" in self.inputs:
            return self.inputs["reference"].folder.name
        return str(self.config["reference"])

    def checkpoint_folder(self) -> Path:
        """Folder of the weights this cell is about: a trained checkpoint, or the reference itself."""
        if "checkpoint" in self.inputs:
            kept = self.config.get("kept")
            return checkpoint_folder(self.inputs["checkpoint"], "model" if kept is None else kept_name(kept))
        return self.reference_folder()


def kept_name(number: int) -> str:
    """Folder of the checkpoint that a training kept on its way, from 1, in its cell."""
    return f"kept-{number}"


def checkpoint_folder(cell: Cell, name: str = "model") -> Path:
    """A folder of weights in a cell, every file of it checked against its digest. Raises StoreError."""
    for file in cell.manifest.outputs:
        if file.startswith(f"{name}/"):
            cell.file(file)
    return cell.folder / name
