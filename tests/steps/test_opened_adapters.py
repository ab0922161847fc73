"""Opening checkpoints that are adapters: what they are merged into, whose tokenizer they have, how they are scored."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from epa_bench.config.lora import Lora
from epa_bench.core.files import read_records, write_records
from epa_bench.core.records import ReferenceScore
from epa_bench.core.store import CellSpec, Store
from epa_bench.models.adapters import add_adapter, save_adapter
from epa_bench.models.checkpoint import save_checkpoint
from epa_bench.models.scoring import score_sequences
from epa_bench.steps import reference_scores
from epa_bench.steps.context import StepContext
from epa_bench.steps.loading import open_checkpoint, open_reference_adapter
from tests.tiny import tiny_model, tiny_preferences, tiny_renderer, tiny_tokenizer

TEXT = {"template": "chat", "max_length": 96, "trust_remote_code": False}
SEQUENCES = [tiny_renderer(96).encode(p.prompt, r.text) for p in tiny_preferences(8) for r in p.responses]


@pytest.fixture
def reference(tmp_path: Path) -> dict[str, str]:
    """The hints of a sweep whose reference is an adapter that changes what its base says."""
    save_checkpoint(tmp_path / "base", tiny_model(0), tiny_tokenizer(), {})
    policy = add_adapter(tiny_model(0), Lora(r=2), seed=1)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in policy.named_parameters():
        if ".lora_" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    save_adapter(tmp_path / "adapter", policy, tiny_tokenizer(), base="base", identity={})
    return {"reference_path": str(tmp_path / "adapter"), "reference_base": str(tmp_path / "base")}


def context(folder: Path, hints: dict[str, str], inputs: dict[str, Any] | None = None, **config: Any) -> StepContext:
    settings = {"text": TEXT, "dtype": "float32", "reference": "digest", **config}
    return StepContext(settings, hints, inputs or {}, folder, "cpu", lambda done, total: None)


def logps(model: torch.nn.Module, **settings: Any) -> list[float]:
    return [score.logp for score in score_sequences(model, SEQUENCES, batch_tokens=4096, **settings)]


def test_an_adapter_is_opened_merged_or_beside_its_base(tmp_path: Path, reference: dict[str, str]) -> None:
    given = context(tmp_path, reference)
    merged = open_checkpoint(given, given.reference_folder())
    beside = open_reference_adapter(given)
    assert type(merged.model) is type(tiny_model(0))
    assert isinstance(beside.model, PeftModel)
    assert logps(merged.model) == pytest.approx(logps(beside.model), rel=1e-5)
    assert logps(merged.model) != pytest.approx(logps(tiny_model(0)), rel=1e-3)
    assert all(p.requires_grad for p in merged.model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_merged_adapter_is_what_a_saved_merged_checkpoint_would_be(
    tmp_path: Path, reference: dict[str, str], dtype: str
) -> None:
    """To the last bit in half precision too, as a checkpoint of full training is: rounded once, rotary buffers kept."""
    given = context(tmp_path, reference)
    save_checkpoint(tmp_path / "merged", open_checkpoint(given, given.reference_folder()).model, tiny_tokenizer(), {})
    given = context(tmp_path, reference, dtype=dtype)
    saved = open_checkpoint(given, tmp_path / "merged").model
    opened = open_checkpoint(given, given.reference_folder()).model
    for tensors in ("parameters", "buffers"):
        expected, found = (dict(getattr(model, f"named_{tensors}")()) for model in (saved, opened))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert [tensor.dtype for tensor in found.values()] == [tensor.dtype for tensor in expected.values()]
    assert logps(opened) == logps(saved)


def test_an_adapter_without_a_tokenizer_has_its_bases(tmp_path: Path, reference: dict[str, str]) -> None:
    given = context(tmp_path, reference)
    own = open_checkpoint(given, given.reference_folder()).tokenizer
    assert own.name_or_path == reference["reference_path"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "adapter" / name).unlink()
    opened = open_checkpoint(given, given.reference_folder())
    assert opened.tokenizer.name_or_path == reference["reference_base"]
    assert opened.renderer.prompt_ids("sort") == tiny_renderer().prompt_ids("sort")


@pytest.mark.parametrize("beside", [True, False])
def test_the_reference_is_scored_as_it_will_be_trained(tmp_path: Path, reference: dict[str, str], beside: bool) -> None:
    """Under bf16 autocast a merged adapter is off its copy by more than rounding of the same arithmetic."""
    preferences = tiny_preferences(8)
    store = Store(tmp_path / "store")
    cell = store.compute(
        CellSpec("given", {}, {}, {}), lambda folder: write_records(folder / "train.jsonl", preferences)
    )
    config = {"batch_tokens": 4096, "autocast": True, **({"beside_base": True} if beside else {})}
    out = tmp_path / "out"
    out.mkdir()
    reference_scores.run(context(out, reference, {"preferences": cell}, **config))
    scores = [score.logp for score in read_records(out / "scores.jsonl", ReferenceScore)]
    given = context(tmp_path, reference)
    as_copied = logps(open_reference_adapter(given).model, autocast=True)
    as_merged = logps(open_checkpoint(given, given.reference_folder()).model, autocast=True)
    assert as_copied != as_merged
    assert scores == (as_copied if beside else as_merged)
