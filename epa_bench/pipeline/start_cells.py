"""Where a sweep starts: its reference and its preference data; how cells on the reference's weights are addressed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from epa_bench.config.schema import (
    AlignedScores,
    AlignedScratch,
    CheckpointReference,
    EmbeddedData,
    GivenCheckpoint,
    ScratchReference,
)
from epa_bench.config.supervised import CheckpointSft
from epa_bench.core.store import CellSpec
from epa_bench.models.identity import CheckpointIdentity, check_context, identify
from epa_bench.pipeline.source_cells import ADAPTER_PACKAGES, SourceCells, digest_of_source
from epa_bench.steps.context import ALIGNED


@dataclass(frozen=True)
class StartCells(SourceCells):
    """A sweep's reference and preference data on a device. Reads the user's checkpoints for their digests."""

    @cached_property
    def _given(self) -> CheckpointIdentity | None:
        """The user's checkpoint: the reference, or what it is made from; None where it is made from scratch."""
        reference = self.sweep.reference
        if not isinstance(reference, CheckpointReference):
            return None
        found = identify(reference)
        check_context(found, self.sweep.data.max_length)
        return found

    @property
    def _external(self) -> CheckpointIdentity | None:
        """The user's own reference; None where the sweep makes it."""
        return self._given if self.sweep.reference.sft is None else None

    @cached_property
    def reference(self) -> CellSpec | None:
        """The reference that the supervised stage makes, or None for the user's own."""
        reference = self.sweep.reference
        if reference.sft is None:
            return None
        rows, inputs = self._supervised_rows
        if reference.sft.needs_scores:
            inputs |= {f"{ALIGNED}{name}": scores for name, scores in self.aligned_scores.items()}
        label = f"reference ({reference.sft.objective.upper()})"
        if isinstance(reference, ScratchReference):
            config = {**self._made(reference), "max_length": self.sweep.data.max_length, **rows}
            return self._cell("reference", config, inputs, label)
        assert self._given is not None
        config = {
            "sft": reference.sft.recipe(),
            "text": self._text,
            "dtype": "float32",
            "invalid_rows": self._invalid_rows(reference.sft),
            **rows,
            **self._ranks,
        }
        hints = {"save_steps": reference.sft.save_steps}
        packages = () if reference.sft.lora is None else ADAPTER_PACKAGES
        return self._on_external(self._given, "sft", config, inputs, label, hints, packages)

    def _invalid_rows(self, sft: CheckpointSft) -> str:
        """What to do with supervised rows that do not fit: what their data says of other faults."""
        data = self.sweep.data if sft.data is None else sft.data
        return "error" if isinstance(data, EmbeddedData) else data.invalid_rows

    @cached_property
    def aligned_scores(self) -> Mapping[str, CellSpec]:
        """What every aligned model says of the supervised rows, by name; recipes and seeds share these cells."""
        return {name: self._aligned_scores(name, model) for name, model in self.sweep.aligned.items()}

    def _aligned_scores(self, name: str, model: AlignedScratch | GivenCheckpoint | AlignedScores) -> CellSpec:
        rows, inputs = self._supervised_rows
        label = f"scores of {name}"
        if isinstance(model, AlignedScores):
            config = {**rows, "scores": digest_of_source(model.path, None, "")}
            return self._cell("aligned_file", config, inputs, label, {"path": model.path})
        config = {**rows, **self._scoring_by(model)}
        hints = {"template_key": f"aligned.{name}.template"}
        if isinstance(model, GivenCheckpoint):
            identity = identify(model, section=f"aligned.{name}")
            return self._on_external(identity, "aligned_scores", config, inputs, label, hints)
        own = {**self._made(model), "max_length": model.data.max_length, "task": model.data.corpus_recipe()}
        made = self._cell("reference", own, {}, f"aligned model {name}")
        return self._cell("aligned_scores", config, {**inputs, "reference": made}, label, hints)

    def _made(self, model: ScratchReference | AlignedScratch) -> dict[str, Any]:
        return {"model": model.model.model_dump(mode="json"), "sft": model.sft.recipe()}

    @property
    def _supervised_rows(self) -> tuple[dict[str, Any], dict[str, CellSpec]]:
        """What rows the supervised stage has, as settings and inputs of a cell."""
        data, supervised = self.sweep.data, self.supervised_file
        if isinstance(data, EmbeddedData):
            return {"task": data.corpus_recipe()}, {}
        if supervised is None:
            return {}, {"preferences": self._usable_files}
        return {}, {"supervised": self._usable_files if data.contamination.policy == "drop" else supervised}

    @cached_property
    def preferences(self) -> CellSpec:
        """`train.jsonl` and `eval.jsonl` that everything after is about."""
        data = self.sweep.data
        if isinstance(data, EmbeddedData):
            config = {"task": data.recipe(), **self._generating}
            return self._on_reference("preferences_embedded", config, {}, "preferences (sampled from the reference)")
        config = {"text": self._text, "invalid_rows": data.invalid_rows}
        return self._on_tokenizer("fit", config, {"preferences": self._usable_files}, "preferences (fit)")

    @property
    def has_gold(self) -> bool:
        """Whether the data have a gold reward for any answer."""
        return isinstance(self.sweep.data, EmbeddedData)

    def _on_tokenizer(
        self,
        step: str,
        config: dict[str, Any],
        inputs: dict[str, CellSpec],
        label: str,
        hints: dict[str, Any] | None = None,
    ) -> CellSpec:
        """A cell that reads the reference's tokenizer alone, which a given checkpoint has before it is trained further:
        what it finds wrong is told first."""
        if self._given is not None:
            return self._on_external(self._given, step, config, inputs, label, hints)
        return self._on_reference(step, config, inputs, label, hints)

    def _on_reference(
        self,
        step: str,
        config: dict[str, Any],
        inputs: dict[str, CellSpec],
        label: str,
        hints: dict[str, Any] | None = None,
        packages: tuple[str, ...] = (),
    ) -> CellSpec:
        external = self._external
        if external is None:
            assert self.reference is not None
            return self._cell(step, config, {**inputs, "reference": self.reference}, label, hints, packages)
        return self._on_external(external, step, config, inputs, label, hints, packages)
