"""Adapters in a model: the arithmetic, what is trained, files, and what does not fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import GPT2Config, LlamaConfig, PreTrainedModel

from epa_bench.config.lora import Lora
from epa_bench.core.errors import CheckpointError
from epa_bench.models.adapters import add_adapter, load_adapter, merge, save_adapter
from epa_bench.models.checkpoint import ready
from epa_bench.models.scoring import score_sequences
from tests.tiny import from_config, tiny_model, tiny_preferences, tiny_renderer, tiny_tokenizer

RENDERER = tiny_renderer()
SEQUENCES = [RENDERER.encode(p.prompt, r.text) for p in tiny_preferences(12) for r in p.responses]


def logps(model: torch.nn.Module) -> list[float]:
    return [score.logp for score in score_sequences(model, SEQUENCES, batch_tokens=2048)]


def moved(policy: PeftModel, seed: int = 0) -> PeftModel:
    """As after a training: A and B filled with numbers that change what the model says."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in policy.named_parameters():
        if "lora_" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return policy


def trained(folder: Path, lora: Lora | None = None) -> Path:
    """A saved adapter that changes what `tiny_model(0)` says."""
    policy = moved(add_adapter(tiny_model(0), lora or Lora(), seed=1))
    save_adapter(folder, policy, tiny_tokenizer(), base="0123abcd", identity={"kind": "trained"})
    return folder


def test_a_new_adapter_changes_nothing_to_the_last_bit() -> None:
    before = tiny_model(0).state_dict()
    policy = add_adapter(tiny_model(0), Lora(), seed=1)
    assert logps(policy) == logps(tiny_model(0))
    after = merge(policy).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_only_the_adapter_is_trained() -> None:
    policy = add_adapter(tiny_model(0), Lora(r=4), seed=1)
    names = {name for name, parameter in policy.named_parameters() if parameter.requires_grad}
    assert all(".lora_A." in name or ".lora_B." in name for name in names)
    # Seven linear layers in each of two layers; the tied output layer is none of them.
    assert len(names) == 2 * 7 * 2
    sizes = {name.split(".")[-4]: p.shape for name, p in policy.named_parameters() if ".lora_A." in name}
    assert sizes["q_proj"] == (4, 64)
    assert sizes["down_proj"] == (4, 96)


def test_named_layers_alone() -> None:
    policy = add_adapter(tiny_model(0), Lora(target_modules=("q_proj", "1.mlp.up_proj")), seed=1)
    adapted = {name.split(".lora_A")[0][17:] for name, _ in policy.named_parameters() if ".lora_A." in name}
    assert adapted == {
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.mlp.up_proj",
    }


def test_the_seed_draws_a() -> None:
    def drawn(seed: int) -> Tensor:
        policy = add_adapter(tiny_model(0), Lora(), seed=seed)
        return torch.cat([p.flatten() for name, p in policy.named_parameters() if ".lora_A." in name])

    first, again, second, third = (drawn(seed) for seed in (1, 1, 2, 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)


@pytest.mark.parametrize(
    ("lora", "scaling"),
    [
        (Lora(r=4, lora_alpha=8), 2.0),
        (Lora(r=16, lora_alpha=8), 0.5),
        (Lora(r=16, lora_alpha=8, use_rslora=True), 2.0),
        (Lora(), 2.0),
    ],
)
def test_merged_weights_are_those_of_the_paper(lora: Lora, scaling: float) -> None:
    """W + scaling * B A, scaling alpha / r, or alpha / sqrt(r) with rsLoRA."""
    policy = moved(add_adapter(tiny_model(0), lora, seed=1))
    matrices = {name: p.detach().clone() for name, p in policy.named_parameters() if "layers.1.mlp.up_proj" in name}
    prefix = "base_model.model.model.layers.1.mlp.up_proj"
    expected = (
        matrices[f"{prefix}.base_layer.weight"]
        + scaling * matrices[f"{prefix}.lora_B.default.weight"] @ matrices[f"{prefix}.lora_A.default.weight"]
    )
    merged: Any = merge(policy)
    torch.testing.assert_close(merged.model.layers[1].mlp.up_proj.weight.detach(), expected, rtol=1e-6, atol=1e-6)


def test_merged_log_probs_are_those_of_adapter_and_base() -> None:
    policy = moved(add_adapter(tiny_model(0), Lora(), seed=1))
    beside = logps(policy)
    merged = merge(policy)
    assert logps(merged) == pytest.approx(beside, rel=1e-5)
    base = logps(tiny_model(0))
    assert max(abs(a - b) for a, b in zip(beside, base, strict=True)) > 1


def test_a_merged_model_is_an_ordinary_one_that_can_be_trained() -> None:
    merged = merge(moved(add_adapter(tiny_model(0), Lora(), seed=1)))
    assert type(merged) is type(tiny_model(0))
    assert merged.state_dict().keys() == tiny_model(0).state_dict().keys()
    assert all(parameter.requires_grad for parameter in merged.parameters())
    assert not merged.training


def test_a_layer_that_stores_its_weight_transposed() -> None:
    """GPT-2's Conv1D; without telling PEFT, it would warn and turn the setting over itself."""
    config = GPT2Config(vocab_size=300, n_embd=64, n_layer=2, n_head=2, n_positions=128)
    model = ready(from_config(config), "cpu")
    base = logps(model)
    policy = moved(add_adapter(model, Lora(), seed=1))
    beside = logps(policy)
    assert logps(merge(policy)) == pytest.approx(beside, rel=1e-4)
    assert beside != pytest.approx(base, rel=1e-2)


# Files


def test_a_round_trip_changes_no_bit(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    policy = moved(add_adapter(tiny_model(0), Lora(), seed=1))
    loaded = load_adapter(tiny_model(0), folder)
    assert logps(loaded) == logps(policy)
    after = dict(loaded.named_parameters())
    for name, parameter in policy.named_parameters():
        assert torch.equal(parameter, after[name])
        assert after[name].requires_grad == (".lora_" in name)


def test_peft_itself_reads_what_is_saved(tmp_path: Path) -> None:
    policy = PeftModel.from_pretrained(tiny_model(0), str(trained(tmp_path)))
    assert logps(policy) == logps(load_adapter(tiny_model(0), tmp_path))


def test_what_peft_saves_is_read(tmp_path: Path) -> None:
    """With dropout on and a pattern of ranks, as a user may have trained it; here dropout is off."""
    config = LoraConfig(
        task_type="CAUSAL_LM",
        lora_dropout=0.5,
        target_modules="all-linear",
        rank_pattern={"q_proj": 2},
        alpha_pattern={"up_proj": 32},
    )
    policy = moved(get_peft_model(tiny_model(0), config))
    policy.peft_config["default"].base_model_name_or_path = "my-base"
    policy.save_pretrained(str(tmp_path), save_embedding_layers=False)
    loaded = load_adapter(tiny_model(0), tmp_path)
    assert logps(torch.nn.Module.train(loaded)) == logps(torch.nn.Module.eval(policy))
    assert {p.shape[0] for name, p in loaded.named_parameters() if "q_proj.lora_A" in name} == {2}


def test_an_adapter_is_small_and_says_nothing_of_this_machine(tmp_path: Path) -> None:
    folder = trained(tmp_path / "model")
    names = {path.name for path in folder.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "epa_bench.json"} <= names
    assert not names & {"README.md", "model.safetensors", "config.json"}
    contents = b"".join(path.read_bytes() for path in folder.iterdir())
    assert str(tmp_path).encode() not in contents
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "0123abcd"
    # A set's own order would change with the hash seed.
    assert config["target_modules"] == sorted(config["target_modules"])
    assert json.loads((folder / "epa_bench.json").read_text()) == {"kind": "trained"}


# What does not fit


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_is_found_in_the_model_itself(tied: bool) -> None:
    """Whatever it is called: the schema only knows common names."""
    shape: dict[str, Any] = {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = from_config(LlamaConfig(**shape, intermediate_size=96, tie_word_embeddings=tied))
    lora = Lora.model_construct(target_modules=("q_proj", "lm_head"))
    with pytest.raises(
        CheckpointError, match=r"`training.lora`: .*lm_head is the output layer or embeddings.* refused"
    ):
        add_adapter(model, lora, seed=1)


@pytest.mark.parametrize("targets", [("query",), ("q_proj", "v_prj"), ("norm",), ("self_attn",), ("embed_tokens.x",)])
def test_a_target_that_matches_nothing_is_refused(targets: tuple[str, ...]) -> None:
    with pytest.raises(CheckpointError, match=rf"the model has no linear layer called {targets[-1]}"):
        add_adapter(tiny_model(0), Lora(target_modules=targets), seed=1)


def another(**changes: Any) -> Callable[[], PreTrainedModel]:
    """A base of another shape than `tiny_model`."""
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2, **changes}
    return lambda: from_config(LlamaConfig(vocab_size=300, **shape))


@pytest.mark.parametrize(
    ("base", "what"),
    [
        (another(hidden_size=128), "size mismatch"),
        (another(intermediate_size=100), "size mismatch"),
        (another(num_hidden_layers=1), "layers.1."),
        (another(num_hidden_layers=3), "layers.2."),
        (lambda: from_config(GPT2Config(vocab_size=300, n_embd=64, n_layer=2, n_head=2)), "Target modules"),
    ],
    ids=["wider", "wider inside", "shallower", "deeper", "another architecture"],
)
def test_an_adapter_on_another_base_is_refused(tmp_path: Path, base: Callable[[], PreTrainedModel], what: str) -> None:
    """Deeper: PEFT would only warn and leave the new layers' A random."""
    folder = trained(tmp_path, Lora(target_modules=("q_proj", "up_proj")))
    with pytest.raises(CheckpointError, match=what):
        load_adapter(base(), folder)


def test_a_broken_adapter_is_not_merged() -> None:
    policy = moved(add_adapter(tiny_model(0), Lora(), seed=1))
    next(p for name, p in policy.named_parameters() if ".lora_B." in name).data.fill_(torch.inf)
    with pytest.raises(CheckpointError, match="cannot merge the adapter"):
        merge(policy)
