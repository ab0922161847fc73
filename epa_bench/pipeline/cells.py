"""From a sweep to its cells: every recipe, its inputs, and which rows of the table it ends in.

data kind     embedded:  reference -> preferences
              files:     preferences -> reference (from scratch) -> fit     or     preferences -> fit
then          reference_scores, plan (a draw) -> train (an arm and seed)
each one      responses -> verdicts -> values        probes -> logps -> values
published     texts -> responses, or conversations -> judged_pairs, or judged_turns -> values, length_control
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from epa_bench.config.grid import Arm
from epa_bench.core.store import CellSpec
from epa_bench.models.identity import CheckpointIdentity
from epa_bench.pipeline.answer_cells import AnswerCells
from epa_bench.pipeline.probe_cells import ProbeCells
from epa_bench.pipeline.source_cells import digest_of_source
from epa_bench.pipeline.training_cells import Checkpoint
from epa_bench.suites.definitions import (
    AlpacaEvalSuite,
    AnsweredSuite,
    BenchSuite,
    GenerationSuite,
    GoldenSuite,
    JudgedSuite,
    KlSuite,
    LmEvalSuite,
    MtBenchSuite,
    ProbeSuite,
    RewardBenchSuite,
    SuiteDefinition,
)


@dataclass(frozen=True)
class Result:
    """A `values` cell and whose it is."""

    suite: str
    checkpoint: Checkpoint
    cell: CellSpec
    beside: tuple[CellSpec, ...] = ()
    """What the table reads besides the values: statistics that are no means over prompts."""


@dataclass(frozen=True)
class SweepCells(AnswerCells):
    """All cells of a sweep on a device, a layer a file: start, training, answers, and here what the table reads."""

    @cached_property
    def probing(self) -> ProbeCells:
        """The probe set and what is computed from it."""
        return ProbeCells(self.suites, self.preferences, self.has_gold, self.device)

    def logps(self, checkpoint: Checkpoint, probes: CellSpec | None = None) -> CellSpec:
        """The score pass of a checkpoint over a set of prompts and answers, by default the probe set."""
        return self._on_checkpoint("logps", self._scoring, {"probes": probes or self.probing.probes}, checkpoint)

    def logps_of(self, identity: CheckpointIdentity, label: str) -> CellSpec:
        """The score pass of a checkpoint that is no part of the sweep."""
        return self._on_external(identity, "logps", self._scoring, {"probes": self.probing.probes}, label)

    @cached_property
    def bench_prompts(self) -> Mapping[str, CellSpec]:
        """What each benchmark asks to be scored, by suite."""
        return {
            name: self._read_benchmark(name, suite)
            for name, suite in self.suites.items()
            if isinstance(suite, BenchSuite)
        }

    def _read_benchmark(self, name: str, suite: BenchSuite) -> CellSpec:
        config: dict[str, Any] = {"kind": suite.kind, "limit": suite.limit, "text": self._text}
        label = f"{name} prompts"
        if isinstance(suite, RewardBenchSuite):
            config["roles"] = list(suite.sources)
            return self._on_tokenizer("bench_prompts", config, {"texts": self.texts(suite)}, label)
        assert suite.data is not None
        config["data"] = digest_of_source(suite.data, None, "")
        return self._on_tokenizer("bench_prompts", config, {}, label, {"data": suite.data})

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """A `values` cell for every suite and checkpoint it applies to."""
        return tuple(
            Result(name, checkpoint, self._values(name, suite, checkpoint), self._beside(suite, checkpoint))
            for name, suite in self.suites.items()
            for checkpoint in self.evaluated(suite)
        )

    @cached_property
    def kept_results(self) -> tuple[Result, ...]:
        """What `frontier` is made of besides: KL and rewards of the checkpoints kept on the way."""
        return tuple(
            Result(name, checkpoint, self._values(name, suite, checkpoint))
            for name, suite in self.suites.items()
            if isinstance(suite, GenerationSuite | KlSuite)
            for checkpoint in self.kept_checkpoints
        )

    @property
    def all_results(self) -> tuple[Result, ...]:
        """The table's, then the others."""
        return (*self.results, *self.kept_results)

    def evaluated(self, suite: SuiteDefinition) -> tuple[Checkpoint, ...]:
        """The checkpoints a suite applies to.

        The reference's implicit reward is zero by definition, and its matches with itself would only cost.
        """
        scored_alone = isinstance(suite, BenchSuite) and suite.scoring != "implicit"
        with_reference = scored_alone or (
            isinstance(suite, AnsweredSuite) and not (isinstance(suite, MtBenchSuite) and suite.mode == "pair")
        )
        return self.checkpoints if with_reference or isinstance(suite, LmEvalSuite) else self.checkpoints[1:]

    def _beside(self, suite: SuiteDefinition, checkpoint: Checkpoint) -> tuple[CellSpec, ...]:
        if isinstance(suite, AlpacaEvalSuite) and suite.length_control:
            return (self.length_control(checkpoint, suite),)
        return ()

    def _values(self, name: str, suite: SuiteDefinition, checkpoint: Checkpoint) -> CellSpec:
        label = f"{name} {checkpoint.label}"
        if isinstance(suite, JudgedSuite):
            inputs = {"verdicts": self.verdicts(checkpoint, suite)}
            mode = {"mode": suite.mode} if isinstance(suite, MtBenchSuite) else {}
            return self._cell("values", {"kind": suite.kind, **mode}, inputs, label)
        if isinstance(suite, GenerationSuite):
            inputs = {"responses": self.responses(checkpoint, suite)}
            return self._cell("values", {"kind": suite.kind, "gold": self.has_gold}, inputs, label)
        if isinstance(suite, KlSuite):
            return self._cell("kl_values", {}, self._sample_logps(checkpoint, suite), label)
        if isinstance(suite, BenchSuite):
            return self._bench_values(self.bench_prompts[name], suite, checkpoint, label)
        if isinstance(suite, LmEvalSuite):
            metrics = {task: settings.metric for task, settings in suite.tasks.items()}
            return self._cell(
                "values", {"kind": suite.kind, "metrics": metrics}, self.lm_eval(checkpoint, suite), label
            )
        assert checkpoint.arm is not None
        if isinstance(suite, GoldenSuite):
            return self._golden(checkpoint.arm, checkpoint.seed, label)
        assert isinstance(suite, ProbeSuite)
        return self.probing.values(
            suite,
            beta=checkpoint.arm.beta,
            logps=self.logps(checkpoint),
            reference_logps=self.logps(self.checkpoints[0]),
            label=label,
        )

    def _golden(self, arm: Arm, seed: int, label: str) -> CellSpec:
        """Of what a training is addressed by, what decides its loss and its plan."""
        plan = {key: value for key, value in self.plan(arm, seed).config.items() if key != "validation"}
        config = {"name": arm.name, "seed": seed, "arm": arm.recipe(), "plan": plan, "text": self._text}
        return self._on_tokenizer("golden", config, {}, label)

    def _bench_values(self, prompts: CellSpec, suite: BenchSuite, checkpoint: Checkpoint, label: str) -> CellSpec:
        inputs = {
            "prompts": prompts,
            "logps": self.logps(checkpoint, prompts),
            "reference_logps": self.logps(self.checkpoints[0], prompts),
        }
        config: dict[str, Any] = {"kind": suite.kind, "scoring": suite.scoring}
        if isinstance(suite, RewardBenchSuite):
            config["aggregation"] = suite.aggregation
        return self._cell("bench_values", config, inputs, label)

    def _sample_logps(self, checkpoint: Checkpoint, suite: KlSuite) -> dict[str, CellSpec]:
        """A checkpoint's own answers under itself and under the reference."""
        inputs = {"responses": self.responses(checkpoint, suite)}
        of = f"answers of {checkpoint.label}"
        return {
            "logps": self._on_checkpoint("sample_logps", self._scoring, inputs, checkpoint),
            "reference_logps": self._on_reference("sample_logps", self._scoring, inputs, f"reference log-probs, {of}"),
        }


def in_order(targets: Iterator[CellSpec] | list[CellSpec]) -> list[CellSpec]:
    """The targets and everything they need, each once, needs first."""
    ordered: dict[str, CellSpec] = {}

    def visit(cell: CellSpec) -> None:
        if cell.digest in ordered:
            return
        for need in cell.needs:
            visit(need)
        ordered[cell.digest] = cell

    for target in targets:
        visit(target)
    return list(ordered.values())
