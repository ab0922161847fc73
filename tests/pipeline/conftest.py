"""Sweeps over the user's own files and from the user's own reference."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.pipeline.clusters import small_sweep

if TYPE_CHECKING:
    from tests.conftest import Workplace
    from tests.pipeline.published import Judged

_WORDS = ["ant", "bell", "canyon", "dune", "elm", "fox", "goat", "harbor", "ink", "jar"]

FileSweep = dict[str, Any]
"""Changes of the mini sweep that make it a sweep over files."""


def preference_row(number: int) -> dict[str, Any]:
    words = Random(number).choices(_WORDS, k=3)
    return {"prompt": f"say {number} {' '.join(words)}", "chosen": " ".join(words), "rejected": f"{words[0]} no"}


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., None]:
    """Writes `train.jsonl` (24 rows) and `eval.jsonl` (12); `train` replaces rows, or whole lines by text."""

    def write(train: dict[int, dict[str, Any] | str] | None = None) -> None:
        def line(row: dict[str, Any] | str) -> str:
            return row if isinstance(row, str) else json.dumps(row)

        rows: dict[int, dict[str, Any] | str] = {number: preference_row(number) for number in range(1, 25)}
        rows |= train or {}
        (tmp_path / "train.jsonl").write_text("".join(f"{line(row)}\n" for _, row in sorted(rows.items())))
        held_out = (preference_row(number) for number in range(101, 113))
        (tmp_path / "eval.jsonl").write_text("".join(f"{line(row)}\n" for row in held_out))

    return write


@pytest.fixture
def file_sweep() -> FileSweep:
    """One seed, DPO and EPA, the suites that need no gold reward."""
    return {
        "data": {"kind": "files", "train": "train.jsonl", "eval": "eval.jsonl", "max_length": 96},
        "methods.dpo-nll": None,
        "seeds": [1],
        "suites.embedded_pairwise": None,
        "suites.linearity": None,
    }


@pytest.fixture
def save_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """A tiny Llama with its tokenizer, saved as any Hugging Face checkpoint is; gives its folder."""

    def save(
        *, chat_template: bool = True, eos: bool = True, positions: int = 256, texts: tuple[str, ...] = ()
    ) -> Path:
        # Here: most tests of this room must not wait for torch.
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        from epa_bench.data.tokenizer import train_tokenizer

        tokenizer = train_tokenizer([*texts, *_WORDS, "say no 1 2 3"], 320)
        config = LlamaConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            vocab_size=len(tokenizer),
            max_position_embeddings=positions,
            eos_token_id=tokenizer.eos_token_id,
            initializer_range=0.1,
        )
        torch.manual_seed(0)
        folder = tmp_path / "my-sft"
        LlamaForCausalLM(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
        if not chat_template:
            tokenizer.chat_template = None
        if not eos:
            tokenizer.eos_token = None
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def save_adapter(tmp_path: Path, save_checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """A LoRA adapter as PEFT saves one, without a tokenizer, on `save_checkpoint`'s model; gives its folder."""

    def save() -> Path:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        base = save_checkpoint()
        config = LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"])
        policy = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
        generator = torch.Generator().manual_seed(0)
        for name, parameter in policy.named_parameters():
            if "lora_" in name:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
        folder = tmp_path / "my-adapter"
        policy.peft_config["default"].base_model_name_or_path = "my-sft"
        policy.save_pretrained(str(folder), save_embedding_layers=False)
        return folder

    return save


@pytest.fixture(scope="session")
def answered(tmp_path_factory: pytest.TempPathFactory) -> "Workplace":
    """Trained, and both suites answered."""
    from tests.conftest import Workplace
    from tests.pipeline.published import judged_sweep

    place = Workplace(tmp_path_factory.mktemp("answered"))
    place.write(judged_sweep(place.folder))
    done = place.run("generate", "mini.yaml", "--set", "execution.workers=2")
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def judged(answered: "Workplace", tmp_path: Path) -> "Judged":
    """A copy of `answered`, whose sweep asks another judge, and differs in further keys."""
    from tests.pipeline.published import api, judged_sweep

    def place(url: str, changes: Mapping[str, Any] | None = None, **settings: Any) -> "Workplace":
        copied = answered.copy(tmp_path / "copy")
        copied.write({**judged_sweep(answered.folder), "judge": api(url, **settings), **(changes or {})})
        return copied

    return place


@pytest.fixture(scope="session")
def small_tables(finished: "Workplace", tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Tables of the small sweep by the local executor, which computed all of its cells."""
    place = small_sweep(finished, tmp_path_factory.mktemp("small"), without=())
    place.finish()
    return place.tables()
