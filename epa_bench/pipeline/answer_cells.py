"""What a sweep's checkpoints answer, and what judges say of it."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from epa_bench.config.judge import ApiJudge, LocalJudge, RecordedJudge
from epa_bench.core.code import package_versions
from epa_bench.core.store import CellSpec
from epa_bench.engines.kinds import PACKAGES, EngineChoice, choose_engine
from epa_bench.pipeline.checks import STORE_FOLDER
from epa_bench.pipeline.local_judge import LocalJudgeRecipe, vllm_memory, vllm_settings
from epa_bench.pipeline.source_cells import digest_of_source
from epa_bench.pipeline.training_cells import Checkpoint, TrainingCells
from epa_bench.suites.definitions import (
    AlpacaEvalSuite,
    AnsweredSuite,
    JudgedSuite,
    KlSuite,
    LmEvalSuite,
    MtBenchSuite,
    PairwiseSuite,
)
from epa_bench.suites.lm_eval_data import find_tasks


@dataclass(frozen=True)
class AnswerCells(TrainingCells):
    """Answers and verdicts."""

    @cached_property
    def engine(self) -> EngineChoice:
        """What answers prompts. Raises ConfigError where it cannot run here."""
        return choose_engine(self.sweep.engine.kind, self.device)

    @property
    def answering(self) -> str:
        """What answers prompts and why it is this, for people."""
        if self.sweep.engine.script is not None:
            return "read from engine.script"
        versions = package_versions(PACKAGES if self.engine.kind == "vllm" else ("transformers",))
        named = " ".join([self.engine.kind, *dict.fromkeys(versions.values())])
        return f"{named} in {self.sweep.engine.dtype} on {self.device} ({self.engine.reason})"

    def responses(self, checkpoint: Checkpoint, suite: AnsweredSuite | KlSuite) -> CellSpec:
        """Answers of a checkpoint; suites with the same prompts, decoding and limit share them."""
        if isinstance(suite, MtBenchSuite):
            turns = {"max_new_tokens": suite.max_new_tokens, "seed": suite.seed, "limit": suite.limit}
            return self._answers("conversations", turns, {"texts": self.texts(suite)}, checkpoint)
        prompts = self.texts(suite) if isinstance(suite, AlpacaEvalSuite) else self.preferences
        config: dict[str, Any] = {"decoding": suite.decoding.model_dump(mode="json"), "limit": suite.limit}
        return self._answers("responses", config, {"prompts": prompts}, checkpoint)

    def _answers(
        self, step: str, config: dict[str, Any], inputs: dict[str, CellSpec], checkpoint: Checkpoint
    ) -> CellSpec:
        script = self.sweep.engine.script
        if script is not None:
            config = {**config, "script": digest_of_source(script, None, "")}
            return self._cell(step, config, inputs, f"{step} {checkpoint.label}", {"script": script})
        return self._on_engine(step, config, inputs, checkpoint)

    def _on_engine(
        self,
        step: str,
        config: dict[str, Any],
        inputs: dict[str, CellSpec],
        checkpoint: Checkpoint,
        hints: dict[str, Any] | None = None,
    ) -> CellSpec:
        config = {**config, **self._generating}
        if self.engine.kind == "transformers":
            return self._on_checkpoint(step, config, inputs, checkpoint, hints)
        engine = self.sweep.engine
        settings = vllm_settings(engine, self.device, adapter=self._is_adapter(checkpoint))
        config["engine"] = {"kind": self.engine.kind, **settings}
        hints = {**(hints or {}), **vllm_memory(engine)}
        return self._on_checkpoint(step, config, inputs, checkpoint, hints, PACKAGES)

    def lm_eval(self, checkpoint: Checkpoint, suite: LmEvalSuite) -> dict[str, CellSpec]:
        """A cell for each of lm-eval's tasks, so that one that fails costs no other."""
        cells = {}
        for name, data in find_tasks(list(suite.tasks), suite.folder).items():
            config = {
                "task": suite.tasks[name].asked(),
                "data": {task.manifest.task: task.digest for task in data},
                "limit": suite.limit,
                "batch_tokens": self.sweep.engine.score_tokens,
            }
            hints = {"data": {task.manifest.task: str(task.folder) for task in data}}
            cell = self._on_engine("lm_eval", config, {}, checkpoint, hints)
            cells[name] = replace(cell, label=f"{name} {checkpoint.label}")
        return cells

    def verdicts(self, checkpoint: Checkpoint, suite: JudgedSuite) -> CellSpec:
        """The judge on a checkpoint's answers: by themselves, or against the reference's."""
        inputs = {"responses": self.responses(checkpoint, suite)}
        label = f"verdicts {checkpoint.label}"
        if isinstance(suite, PairwiseSuite) or (isinstance(suite, MtBenchSuite) and suite.mode == "pair"):
            inputs["baseline"] = self.responses(self.checkpoints[0], suite)
        if isinstance(suite, PairwiseSuite):
            return self._cell("verdicts", {"judge": self.sweep.judge.model_dump(mode="json")}, inputs, label)
        inputs["texts"] = self.texts(suite)
        config: dict[str, Any] = {"judge": self._judge}
        if isinstance(suite, AlpacaEvalSuite):
            config["judging"] = suite.judging.model_dump(mode="json")
            return self._cell("judged_pairs", config, inputs, label, self._asking)
        config |= {"mode": suite.mode, "roles": list(suite.roles), "limit": suite.limit}
        return self._cell("judged_turns", config, inputs, label, self._asking)

    def length_control(self, checkpoint: Checkpoint, suite: AlpacaEvalSuite) -> CellSpec:
        """A checkpoint's length-controlled win rate and its bootstrap."""
        inputs = {"verdicts": self.verdicts(checkpoint, suite), "texts": self.texts(suite)}
        return self._cell("length_control", {}, inputs, f"length control {checkpoint.label}")

    @cached_property
    def _judge(self) -> dict[str, Any]:
        """What decides a verdict besides the question."""
        judge = self.sweep.judge
        if isinstance(judge, RecordedJudge):
            return {"kind": judge.kind, "digest": digest_of_source(judge.path, None, "")}
        if self.local_judge is not None:
            return self.local_judge.config
        assert isinstance(judge, ApiJudge)
        return judge.identity()

    @cached_property
    def local_judge(self) -> LocalJudgeRecipe | None:
        """Where the judge is a checkpoint on this machine."""
        judge = self.sweep.judge
        return LocalJudgeRecipe(judge, self.device) if isinstance(judge, LocalJudge) else None

    @property
    def _asking(self) -> dict[str, Any]:
        folder = Path(self.sweep.output.folder)
        return {
            **(self.local_judge.hints if self.local_judge else {}),
            "judge": self.sweep.judge.model_dump(mode="json"),
            "replies": str(folder / STORE_FOLDER / "replies"),
            "ledger": str(folder / self.sweep.name / "judging.ledger"),
        }
