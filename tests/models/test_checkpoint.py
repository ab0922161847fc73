"""Loading and saving: what is refused and why, dropout off, weights bit-equal after a round trip."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3Config,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MistralConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from epa_bench.core.errors import CheckpointError
from epa_bench.data.chat import Renderer
from epa_bench.models.checkpoint import load_model, load_tokenizer, save_checkpoint
from tests.tiny import embedding_of, from_config, head_of, tiny_model, tiny_tokenizer


def weights(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def checkpoint(
    tmp_path: Path,
) -> Path:
    save_checkpoint(tmp_path / "model", tiny_model(0), tiny_tokenizer(), {"kind": "reference", "recipe": {"seed": 0}})
    return tmp_path / "model"


def load(folder: Path, **changes: Any) -> PreTrainedModel:
    return load_model(folder, **{"dtype": "float32", "device": "cpu", **changes})


def test_a_round_trip_changes_no_bit(checkpoint: Path) -> None:
    before, after = weights(tiny_model(0)), weights(load(checkpoint))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_checkpoint_is_safetensors_tokenizer_and_identity(checkpoint: Path) -> None:
    names = {path.name for path in checkpoint.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "epa_bench.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert json.loads((checkpoint / "epa_bench.json").read_text()) == {"kind": "reference", "recipe": {"seed": 0}}
    text = "sort wolf <|end|>"
    assert load_tokenizer(checkpoint)(text)["input_ids"] == tiny_tokenizer()(text)["input_ids"]


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """Nothing of time or place is in a checkpoint, or equal trainings would not be equal files."""
    for name in ("first", "second"):
        save_checkpoint(tmp_path / name, tiny_model(0), tiny_tokenizer(), {})
    reloaded = load(tmp_path / "first"), load_tokenizer(tmp_path / "first")
    save_checkpoint(tmp_path / "third", *reloaded, {})
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "second", "third")
    ]
    assert contents[0] == contents[1]
    assert contents[0]["model.safetensors"] == contents[2]["model.safetensors"]
    assert str(tmp_path).encode() not in b"".join(contents[2].values())


def test_dtype_and_mode(checkpoint: Path) -> None:
    model = load(checkpoint, dtype="bfloat16")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not model.training


SHAPE: dict[str, Any] = {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.mark.parametrize(
    "config",
    [
        GPT2Config(vocab_size=300, n_embd=64, n_layer=2, n_head=2, attn_pdrop=0.5, embd_pdrop=0.5, resid_pdrop=0.5),
        MistralConfig(**SHAPE, intermediate_size=96, num_key_value_heads=1, attention_dropout=0.5),
        OPTConfig(**SHAPE, ffn_dim=96, word_embed_proj_dim=64, dropout=0.5, attention_dropout=0.5, layerdrop=0.5),
        Gemma3Config(  # a text model inside, its rate in a configuration inside
            text_config={**SHAPE, "num_key_value_heads": 1, "head_dim": 32, "attention_dropout": 0.5},
            vision_config={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28},
        ),
    ],
    ids=lambda config: config.model_type,
)
def test_no_dropout_is_left_in_train_mode(tmp_path: Path, config: PreTrainedConfig) -> None:
    ids = torch.arange(20)[None]
    from_config(config).save_pretrained(tmp_path)
    with_dropout = AutoModelForCausalLM.from_pretrained(tmp_path).train()
    first, second = (with_dropout(input_ids=ids).logits for _ in range(2))
    assert not torch.equal(first, second)
    model = load(tmp_path).train()
    first, second = (model(input_ids=ids).logits for _ in range(2))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, with_dropout.eval()(input_ids=ids).logits)


def _cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def _pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _without(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        del tensors[name]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return remove


def _reshape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = torch.ones(3)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _misconfigure(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": "many"}))


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (_cut, "cannot load a model from .*: Error while deserializing header"),
        (_pickle, "cannot load a model from .*: Error no file named model.safetensors"),
        (_without("model.layers.1.mlp.up_proj.weight"), r"no weights for 1 parameters .*layers.1.mlp.up_proj.weight"),
        (_reshape, "cannot load a model from .*mismatched"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot load a model from .*not a valid JSON"),
        (_misconfigure, "cannot load a model from .*'hidden_size'"),
        (lambda folder: (folder / "config.json").write_text("{}"), "cannot load a model from .*`model_type`"),
        (lambda folder: folder.rename(folder.with_name("moved")), "cannot load a model from"),
    ],
)
def test_a_broken_checkpoint_is_refused(checkpoint: Path, damage: Callable[[Path], object], what: str) -> None:
    damage(checkpoint)
    with pytest.raises(CheckpointError, match=what):
        load(checkpoint)


def test_pickled_weights_beside_safetensors_are_not_read(checkpoint: Path) -> None:
    (checkpoint / "pytorch_model.bin").write_bytes(b"no pickle")
    assert torch.equal(embedding_of(load(checkpoint)).weight, embedding_of(tiny_model(0)).weight)


@pytest.mark.parametrize("kind", [LlamaForCausalLM, LlamaForSequenceClassification])
def test_an_untied_head_must_be_there(tmp_path: Path, kind: type[PreTrainedModel]) -> None:
    """A classifier's folder has a language model's body: its random head would answer."""
    kind(LlamaConfig(**SHAPE, intermediate_size=96)).save_pretrained(tmp_path)
    if kind is LlamaForCausalLM:
        assert head_of(load(tmp_path)).weight is not embedding_of(load(tmp_path)).weight
        return
    with pytest.raises(CheckpointError, match=r"no weights for 1 parameters of LlamaForCausalLM \(lm_head.weight"):
        load(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.9, "top_p": 0.6, "eos_token_id": [1, 3], "pad_token_id": -1},  # as older Llama 2 folders
        {"do_sample": True, "temperature": 0.9, "eos_token_id": [1, 3]},
    ],
)
def test_any_generation_settings_can_be_saved_again_with_their_eos(
    checkpoint: Path, tmp_path: Path, settings: dict[str, object]
) -> None:
    (checkpoint / "generation_config.json").write_text(json.dumps(settings))
    save_checkpoint(tmp_path / "again", load(checkpoint), tiny_tokenizer(), {})
    saved = json.loads((tmp_path / "again" / "generation_config.json").read_text())
    assert saved["eos_token_id"] == [1, 3]
    assert saved.get("temperature") == (0.9 if "do_sample" in settings else None)


def test_a_tokenizer_without_eos_is_refused(checkpoint: Path) -> None:
    bare = AutoTokenizer.from_pretrained(checkpoint)
    bare.eos_token = None
    bare.save_pretrained(checkpoint)
    with pytest.raises(CheckpointError, match="has no EOS token, so no answer could end"):
        load_tokenizer(checkpoint)


def test_eos_pads_where_there_is_no_padding_token(checkpoint: Path) -> None:
    bare = AutoTokenizer.from_pretrained(checkpoint)
    bare.pad_token = None
    bare.save_pretrained(checkpoint)
    loaded = load_tokenizer(checkpoint)
    assert loaded.pad_token_id == loaded.eos_token_id == 1


@pytest.mark.parametrize("content", ["{", "{}"])
def test_a_broken_tokenizer_is_refused(checkpoint: Path, content: str) -> None:
    (checkpoint / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match="cannot load a tokenizer from"):
        load_tokenizer(checkpoint)


def test_a_checkpoint_without_a_chat_template_is_refused_by_the_renderer(checkpoint: Path) -> None:
    (checkpoint / "chat_template.jinja").unlink()
    loaded = load_tokenizer(checkpoint)
    with pytest.raises(CheckpointError, match=rf"{checkpoint}: expected a chat template"):
        Renderer(loaded, template="chat", max_length=32)
    assert Renderer(loaded, template="plain", max_length=32).encode("sort", " wolf").response_ids[-1] == 1


def test_a_new_model_is_its_seed_and_shape() -> None:
    first, same, other = weights(tiny_model(0)), weights(tiny_model(0)), weights(tiny_model(1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    model = tiny_model(0)
    assert head_of(model).weight is embedding_of(model).weight
    assert embedding_of(model).weight.shape == (len(tiny_tokenizer()), 64)
    assert (model.config.eos_token_id, model.config.pad_token_id) == (1, 0)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
