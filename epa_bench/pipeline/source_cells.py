"""What a sweep reads from others, its files and published texts, and how its cells are addressed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from epa_bench.config.schema import AlignedScratch, FilesData, GivenCheckpoint, ScratchReference, Sweep
from epa_bench.config.supervised import CheckpointSft
from epa_bench.core.errors import ConfigError, DataError
from epa_bench.core.store import CellSpec
from epa_bench.data.sources import source_digest
from epa_bench.execution.device import Device
from epa_bench.models.identity import CheckpointIdentity
from epa_bench.pipeline.recipe import cell
from epa_bench.suites.definitions import (
    AlpacaEvalSuite,
    MtBenchSuite,
    RewardBenchSuite,
    SuiteDefinition,
)

ADAPTER_PACKAGES = ("peft",)


@dataclass(frozen=True)
class SourceCells:
    """A sweep on a device. Reads the user's files for their digests."""

    sweep: Sweep
    suites: Mapping[str, SuiteDefinition]
    device: Device

    @cached_property
    def _usable_files(self) -> CellSpec:
        """What of files is trained on: without the rows that a suite asks as well, where the sweep drops them."""
        data = self.sweep.data
        assert isinstance(data, FilesData)
        read = self.read_files(data)
        if data.contamination.policy != "drop":
            return read
        config = {"suites": {name: suite.kind for name, suite in self.published.items()}}
        inputs = {"preferences": read, **{f"texts {name}": self.texts(suite) for name, suite in self.published.items()}}
        if self.supervised_file is not None:
            inputs["supervised"] = self.supervised_file
        return self._cell("decontaminate", config, inputs, "preferences (without overlaps)")

    @property
    def published(self) -> dict[str, AlpacaEvalSuite | MtBenchSuite | RewardBenchSuite]:
        """The suites whose prompts are published, which training data may hold."""
        kinds = AlpacaEvalSuite | MtBenchSuite | RewardBenchSuite
        return {name: suite for name, suite in self.suites.items() if isinstance(suite, kinds)}

    def read_files(self, data: FilesData) -> CellSpec:
        """The user's rows as they were read."""

        def source(path: str, split: str, limit: int | None) -> dict[str, Any]:
            return {
                "digest": digest_of_source(path, data.revision, split),
                "split": split,
                "revision": data.revision,
                "limit": limit,
            }

        config = {
            "train": source(data.train, data.train_split, data.train_limit),
            "eval": source(data.eval, data.eval_split, data.eval_limit),
            "invalid_rows": data.invalid_rows,
        }
        hints = {"train": data.train, "eval": data.eval}
        return self._cell("preferences_files", config, {}, "preferences (read)", hints)

    @cached_property
    def supervised_file(self) -> CellSpec | None:
        """The user's supervised rows as they were read; None where the supervised stage has none of its own.

        Kept, like what is made of it: its digest reads the whole file.
        """
        sft = self.sweep.reference.sft
        if sft is None or sft.data is None:
            return None
        data = sft.data
        digest = digest_of_source(data.path, data.revision, data.split)
        config = {**data.model_dump(mode="json", exclude={"path"}), "digest": digest}
        return self._cell("supervised_files", config, {}, "supervised rows (read)", {"path": data.path})

    def texts(self, suite: AlpacaEvalSuite | MtBenchSuite | RewardBenchSuite) -> CellSpec:
        """The files that a published suite takes from others."""
        needed = suite.needed
        config: dict[str, Any] = {
            "kind": suite.kind,
            "sources": {role: source.sha256 for role, source in needed.items()},
        }
        hints = {
            "suite": next(name for name, of_name in self.suites.items() if of_name is suite),
            "sources": {role: source.model_dump(mode="json") for role, source in needed.items()},
            "mirror": self.sweep.mirror,
        }
        return self._cell("texts", config, {}, f"texts of {hints['suite']}", hints)

    @cached_property
    def _text(self) -> dict[str, Any]:
        reference = self.sweep.reference
        text = self._text_of(reference)
        if isinstance(reference.sft, CheckpointSft) and reference.sft.chat_template is not None:
            text["chat_template"] = _read_template(Path(reference.sft.chat_template))
        return text

    def _text_of(self, model: ScratchReference | GivenCheckpoint | AlignedScratch) -> dict[str, Any]:
        trust = isinstance(model, GivenCheckpoint) and model.trust_remote_code
        max_length = self.sweep.data.max_length
        return {"template": model.template, "max_length": max_length, "trust_remote_code": trust}

    @property
    def _ranks(self) -> dict[str, int]:
        """Of a cell that trains. Sums over ranks round differently, and a checkpoint is continued by as many ranks as
        wrote it."""
        processes = self.sweep.execution.processes
        return {"processes": processes} if processes > 1 else {}

    @property
    def _generating(self) -> dict[str, Any]:
        engine = self.sweep.engine
        return {"text": self._text, "batch_size": engine.batch_size, "dtype": engine.dtype}

    @property
    def _scoring(self) -> dict[str, Any]:
        return self._scoring_by(self.sweep.reference)

    def _scoring_by(self, model: ScratchReference | GivenCheckpoint | AlignedScratch) -> dict[str, Any]:
        engine = self.sweep.engine
        return {"text": self._text_of(model), "batch_tokens": engine.score_tokens, "dtype": engine.dtype}

    def _on_external(
        self,
        identity: CheckpointIdentity,
        step: str,
        config: dict[str, Any],
        inputs: dict[str, CellSpec],
        label: str,
        hints: dict[str, Any] | None = None,
        packages: tuple[str, ...] = (),
    ) -> CellSpec:
        hints = {**(hints or {}), "reference_path": str(identity.path)}
        if identity.base is not None:
            hints["reference_base"] = str(identity.base)
            packages = (*packages, *ADAPTER_PACKAGES)
        return self._cell(step, {**config, "reference": identity.digest}, inputs, label, hints, packages)

    def _cell(
        self,
        step: str,
        config: dict[str, Any],
        inputs: dict[str, CellSpec],
        label: str,
        hints: dict[str, Any] | None = None,
        packages: tuple[str, ...] = (),
    ) -> CellSpec:
        return cell(step, config, inputs, label, self.device, hints, packages)


def _read_template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"`reference.sft.chat_template`: cannot read {path} ({error}); name a text file with a Jinja template"
        ) from error


def digest_of_source(source: str, revision: str | None, split: str) -> str:
    try:
        return source_digest(source, revision, split)
    except OSError as error:
        raise DataError(f"{source}: {error.strerror}; make it readable, or name another file") from error
