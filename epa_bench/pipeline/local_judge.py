"""The address of a judge that is a checkpoint on this machine: its weights, how they are asked, and what asks them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from epa_bench.config.engine import Engine
from epa_bench.config.judge import LocalJudge
from epa_bench.config.schema import GivenCheckpoint
from epa_bench.core.code import package_versions
from epa_bench.core.errors import CheckpointError
from epa_bench.engines.kinds import PACKAGES, EngineChoice, attaches_adapters, choose_engine
from epa_bench.execution.device import Device
from epa_bench.models.identity import CheckpointIdentity, identify
from epa_bench.steps.table import STEPS


def vllm_settings(engine: Engine, device: Device, *, adapter: bool) -> dict[str, Any]:
    """What of vLLM's settings decides an answer of a checkpoint, which may be an adapter. Raises ConfigError."""
    settings = {"tensor_parallel_size": engine.tensor_parallel_size, "max_model_len": engine.max_model_len}
    if adapter and attaches_adapters(engine.adapters, engine.dtype, device):
        # It rounds unlike merged weights.
        return {**settings, "adapters": "attached"}
    return settings


def vllm_memory(engine: Engine) -> dict[str, Any]:
    """How much memory it takes does not."""
    return {"kv_cache_gib": engine.kv_cache_gib, "gpu_memory_utilization": engine.gpu_memory_utilization}


@dataclass(frozen=True)
class LocalJudgeRecipe:
    """What a cell's config and hints say of the judge. Reads the checkpoint for its digest."""

    judge: LocalJudge
    device: Device

    @cached_property
    def checkpoint(self) -> CheckpointIdentity:
        """Raises CheckpointError where it is absent or holds no safetensors weights."""
        judge = self.judge
        try:
            return identify(GivenCheckpoint(kind="checkpoint", path=judge.path, revision=judge.revision))
        except CheckpointError as error:
            raise CheckpointError(f"the judge: {str(error).replace('reference.', 'judge.')}") from None

    @cached_property
    def engine(self) -> EngineChoice:
        """Raises ConfigError where it cannot run here."""
        return choose_engine(self.judge.engine.kind, self.device)

    @cached_property
    def config(self) -> dict[str, Any]:
        """What decides a verdict besides the question."""
        judge, engine = self.judge, self.judge.engine
        identity: dict[str, Any] = {
            "kind": judge.kind,
            "reference": self.checkpoint.digest,
            "text": {
                "template": judge.template,
                "max_length": judge.max_length,
                "trust_remote_code": judge.trust_remote_code,
            },
            "dtype": engine.dtype,
            "batch_size": engine.batch_size,
            "versions": STEPS["responses"].versions(self.device),
            **judge.decoding(),
        }
        if self.engine.kind == "vllm":
            adapter = self.checkpoint.base is not None
            identity["engine"] = {"kind": "vllm", **vllm_settings(engine, self.device, adapter=adapter)}
            identity["versions"] |= package_versions(PACKAGES)
        return identity

    @property
    def hints(self) -> dict[str, Any]:
        """Where its files are, and the memory it may take."""
        places = {"reference_path": str(self.checkpoint.path)}
        if self.checkpoint.base is not None:
            places["reference_base"] = str(self.checkpoint.base)
        return {"judge_name": self.name, "judge_engine": {**places, **vllm_memory(self.judge.engine)}}

    @property
    def name(self) -> str:
        """For tables."""
        return f"{Path(self.judge.path).name} {self.checkpoint.digest[:8]}"
