"""The steps by name: where their code is and what a change of which makes their cells owed again."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from epa_bench.core.code import code_digest, package_versions
from epa_bench.steps.context import StepContext

_MODEL_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
_TRAINER_PACKAGES = (*_MODEL_PACKAGES, "accelerate")


class StepFunction(Protocol):
    """A step's body."""

    def __call__(self, context: StepContext) -> None: ...


@dataclass(frozen=True)
class Step:
    """One step. Its body is imported only in the process that runs it."""

    module: str
    rooms: tuple[str, ...]
    """Rooms, and files of rooms, whose source decides the result."""

    packages: tuple[str, ...] = ()
    """Engines whose versions decide the result."""

    resumes: bool = False
    """Goes on from what a killed attempt left."""

    def load(self) -> StepFunction:
        """The body; may import torch."""
        function: StepFunction = import_module(f"epa_bench.steps.{self.module}").run
        return function

    def versions(self, device: str) -> dict[str, str]:
        """What the cell's address says of code and engines."""
        rooms = ("core/records.py", f"steps/{self.module}.py", *self.rooms)
        versions = {"code": code_digest(rooms), **package_versions(self.packages)}
        return {**versions, "device": device} if self.packages else versions


_MODEL_ROOMS = ("data", "models", "steps/loading.py")
_ANSWERING = (*_MODEL_ROOMS, "engines", "steps/engine.py", "steps/answering.py")
_SUPERVISED = (*_MODEL_ROOMS, "losses/poft.py", "training", "steps/supervised.py")
_BENCH_FILES = ("bench_prompts", "labelled_pairs", "probes", "reward_bench", "reward_bench_2")

STEPS: Mapping[str, Step] = {
    "aligned_scores": Step("aligned_scores", (*_MODEL_ROOMS, "steps/supervised.py"), _MODEL_PACKAGES),
    "aligned_file": Step("aligned_file", ("data", "steps/supervised.py")),
    "reference": Step("reference", _SUPERVISED, _TRAINER_PACKAGES, resumes=True),
    "supervised_files": Step("supervised_files", ("data", "steps/supervised.py")),
    "sft": Step("sft", _SUPERVISED, _TRAINER_PACKAGES, resumes=True),
    "preferences_embedded": Step("preferences_embedded", (*_MODEL_ROOMS, "engines"), _MODEL_PACKAGES),
    "preferences_files": Step("preferences_files", ("data",)),
    "decontaminate": Step(
        "decontaminate",
        ("data/contamination.py", "suites/asked.py", "suites/bench_prompts.py", "steps/supervised.py"),
    ),
    "fit": Step("fit", ("data", "steps/loading.py"), ("tokenizers", "transformers")),
    "plan": Step("plan", ("data/plan.py", "data/validation.py"), ("numpy",)),
    "reference_scores": Step("reference_scores", (*_MODEL_ROOMS, "training/batches.py"), _MODEL_PACKAGES),
    "train": Step("train", (*_MODEL_ROOMS, "losses", "training"), _TRAINER_PACKAGES, resumes=True),
    "probes": Step("probes", ("suites/probes.py", "data/embedded", "steps/gold.py"), ("numpy",)),
    "logps": Step("logps", (*_MODEL_ROOMS, "suites/probes.py"), _MODEL_PACKAGES),
    "responses": Step("responses", _ANSWERING, _MODEL_PACKAGES, resumes=True),
    "texts": Step("texts", ("suites/alpaca_eval_texts.py",)),
    "conversations": Step("conversations", (*_ANSWERING, "suites/mt_bench.py"), _MODEL_PACKAGES, resumes=True),
    "sample_logps": Step("sample_logps", (*_MODEL_ROOMS, "suites/kl.py"), _MODEL_PACKAGES),
    "kl_values": Step("kl_values", ("suites/kl.py", "suites/values.py")),
    "bench_prompts": Step(
        "bench_prompts",
        ("data", "steps/loading.py", *(f"suites/{name}.py" for name in _BENCH_FILES)),
        ("tokenizers", "transformers"),
    ),
    "bench_values": Step("bench_values", ("suites",)),
    "golden": Step("golden", ("data", "judges", "losses", "stats", "suites", "steps/loading.py"), _MODEL_PACKAGES),
    "lm_eval": Step(
        "lm_eval",
        (*_ANSWERING, "suites/lm_eval_data.py", "suites/lm_eval_tasks.py", "config/yaml12.py"),
        (*_MODEL_PACKAGES, "lm_eval", "datasets"),
    ),
    "verdicts": Step("verdicts", ("judges", "data/embedded")),
    "judged_pairs": Step("judged_pairs", ("judges", "suites/alpaca_eval_texts.py")),
    "judged_turns": Step("judged_turns", ("judges", "suites/mt_bench.py", "suites/mt_bench_sources.py")),
    "length_control": Step("length_control", ("stats", "suites"), ("alpaca-eval", "numpy", "scikit-learn")),
    "values": Step("values", ("stats/best_of_n.py", "suites", "data/embedded", "steps/gold.py"), ("numpy", "scipy")),
}
