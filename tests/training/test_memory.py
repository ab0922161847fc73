"""The memory estimate: worked numbers, a training measured, and when it stops one."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import GPT2Config, LlamaConfig, LlamaForCausalLM

from epa_bench.config.schema import Training
from epa_bench.core.errors import TrainingError
from epa_bench.core.notices import Notice
from epa_bench.models.logprobs import ScorePass
from epa_bench.training import memory
from epa_bench.training.estimate import Estimate, Load, ModelShape, estimate
from epa_bench.training.memory import check_memory, shape_of
from tests.tiny import Problem, from_config, tiny_model, tiny_problem, train

REPOSITORY = Path(__file__).resolve().parents[2]
GIB = 2**30

# Llama 3 8B, by its configuration.
LLAMA_8B = ModelShape(
    parameters=8_030_261_248,
    trainable=8_030_261_248,
    layers=32,
    hidden=4096,
    intermediate=14336,
    keys_values=1024,
    vocabulary=128256,
    device="cuda",
)
LOAD = Load(tokens=4096, keys=6144, logits=1000)


def test_worked_numbers_of_an_8b_model() -> None:
    found = estimate(LLAMA_8B, LOAD, Training())
    assert found.weights == found.gradients == 32_121_044_992  # 4 bytes each
    assert found.optimizer == 64_242_089_984  # two moments
    # A layer: 4096 tokens x (10 x 4096 + 4 x 14336) + 2 x 6144 keys x 1024, 32 of them and the one worked on.
    assert found.activations == 4 * 33 * 415_236_096
    assert found.head == 4 * (3 * 1000 + 4096) * 128256
    assert found.beyond_weights == found.gradients + found.optimizer + found.activations + found.head


def test_what_each_setting_saves() -> None:
    plain = estimate(LLAMA_8B, LOAD, Training())
    checkpointed = estimate(LLAMA_8B, LOAD, Training(gradient_checkpointing=True))
    # What every layer is given, and one layer whole.
    assert checkpointed.activations == 4 * (32 * 4096 * 4096 + 415_236_096)
    bf16 = estimate(LLAMA_8B, LOAD, Training(dtype="bfloat16"))
    assert bf16.activations == round(0.65 * plain.activations) + 2 * LLAMA_8B.parameters
    assert estimate(LLAMA_8B, LOAD, Training(optim="adafactor")).optimizer == 0
    assert estimate(LLAMA_8B, LOAD, Training(optim="rmsprop")).optimizer == plain.optimizer // 2
    adapters = estimate(replace(LLAMA_8B, trainable=20_971_520), LOAD, Training())
    assert adapters.gradients == 4 * 20_971_520
    assert adapters.weights == plain.weights


def test_the_shape_of_a_model() -> None:
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=300,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.get_input_embeddings().weight.requires_grad_(False)
    shape = shape_of(model)
    # A layer: queries and output 64 x 64, keys and values 64 x 32, three times 64 x 96, two norms.
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64
    assert shape == ModelShape(
        parameters=300 * 64 + 3 * layer + 64,
        trainable=3 * layer + 64,
        layers=3,
        hidden=64,
        intermediate=96,
        keys_values=32,
        vocabulary=300,
        device="cpu",
    )


def test_an_architecture_that_names_no_sizes_has_llamas_ratios() -> None:
    shape = shape_of(from_config(GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=50, n_positions=16)))
    assert (shape.hidden, shape.intermediate, shape.keys_values, shape.layers) == (32, 128, 32, 2)


# What a micro-batch sends through the model


@pytest.fixture(scope="module")
def problem() -> Problem:
    return tiny_problem(1, 2)


def test_the_largest_micro_batch_decides(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Load] = []
    counted = estimate

    def spy(shape: ModelShape, load: Load, settings: Training) -> Estimate:
        loads.append(load)
        return counted(shape, load, settings)

    monkeypatch.setattr(memory, "estimate", spy)
    settings = Training(per_device_train_batch_size=4, gradient_accumulation_steps=2)
    check_memory(tiny_model(0), problem.dataset.sequences(), settings, ScorePass(True, True))
    sizes = []
    for start in range(0, len(problem.dataset), 4):
        groups = [problem.dataset[i] for i in range(start, start + 4)]
        prompts = [len(group[0].sequence.prompt_ids) for group in groups]
        answers = [[len(c.sequence.response_ids) - 1 for c in group] for group in groups]
        tokens = sum(prompts) + sum(map(sum, answers))
        keys = sum(prompt * len(own) + sum(own) for prompt, own in zip(prompts, answers, strict=True))
        sizes.append(Load(tokens, keys, tokens))
    assert set(loads) == set(sizes)


def test_a_pass_with_padded_rows_sends_more(problem: Problem) -> None:
    settings = Training(per_device_train_batch_size=4)
    shape = shape_of(tiny_model(0))
    groups = [memory._GroupSize.of(group) for group in problem.dataset.sequences()]
    packed, padded, plain = (
        memory._Needs(shape, groups, found).of(settings)
        for found in (ScorePass(True, True), ScorePass(False, True), ScorePass(False, False))
    )
    assert packed.activations < padded.activations == plain.activations
    assert padded.head <= plain.head


# Against a training

MEASURED = """
    import gc, json, sys
    from dataclasses import replace
    from pathlib import Path
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from epa_bench.config.schema import Training
    from epa_bench.models.checkpoint import ready
    from epa_bench.models.logprobs import ScorePass
    from epa_bench.models.scoring import score_sequences
    from epa_bench.training import memory
    from epa_bench.training.batches import encoder_of
    from tests.tiny import tiny_problem, tiny_renderer, train

    def kib(name):
        return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if name in line)

    settings = json.loads(sys.argv[2])
    config = LlamaConfig(
        hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=4, vocab_size=2000,
        max_position_embeddings=512, tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = ready(LlamaForCausalLM(config), "cpu")
    # Longer answers than the problem's own, so that activations weigh; and no more steps than it takes to have state.
    problem = tiny_problem(1, 2)
    preferences = [
        preference.model_copy(update={"chosen": preference.chosen.model_copy(update={"text": f"{i} yes " * 12})})
        for i, preference in enumerate(problem.preferences)
    ]
    encode = encoder_of(preferences, tiny_renderer(256).encode)
    groups = problem.groups[:16]
    sequences = [encode(group.example, c.example, c.response) for group in groups for c in group.candidates]
    reference = {score.key: score for score in score_sequences(model, sequences, batch_tokens=2048)}
    problem = replace(problem, groups=groups, preferences=preferences, encode=encode, reference=reference)
    shape = memory.shape_of(model)
    groups = [memory._GroupSize.of(group) for group in problem.dataset.sequences()]
    expected = memory._Needs(shape, groups, ScorePass(True, True)).of(Training(**settings)).beyond_weights
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = kib("VmRSS")
    batch, accumulation = (
        settings.pop(name) for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
    )
    train(problem, Path(sys.argv[1]), model=model, batch=batch, accumulation=accumulation, **settings)
    print((kib("VmHWM") - before) * 1024 / expected)
"""


@pytest.mark.parametrize(
    "settings",
    [
        {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1},
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "gradient_checkpointing": True},
    ],
    ids=["plain", "checkpointed"],
)
def test_a_measured_peak_is_near_the_estimate(tmp_path: Path, settings: dict[str, object]) -> None:
    """By the kernel's own count, with an allocator that gives every freed tensor back to it."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this kernel does not forget a peak")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURED), str(tmp_path), json.dumps(settings)],
        cwd=REPOSITORY,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ratio = float(done.stdout)
    assert 0.65 <= ratio <= 1.25
    # So what fits is not refused.
    assert ratio > memory.CERTAIN


# When it stops a training


def with_free(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda device: int(size))


def needed(problem: Problem, settings: Training) -> int:
    groups = [memory._GroupSize.of(group) for group in problem.dataset.sequences()]
    return memory._Needs(shape_of(tiny_model(0)), groups, ScorePass(True, True)).of(settings).beyond_weights


def test_what_cannot_fit_is_refused_before_the_first_step_with_what_to_change(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Training(per_device_train_batch_size=8, gradient_accumulation_steps=1)
    size = needed(problem, settings)
    with_free(monkeypatch, memory.CERTAIN * size - 1)
    done: list[int] = []
    with pytest.raises(TrainingError) as caught:
        train(problem, tmp_path, report=lambda step, _: done.append(step))
    assert done == []
    first, *advice = str(caught.value).splitlines()
    assert f"training needs about {size / GIB:.2f} GiB beside the weights (gradients 0.00, " in first
    assert f"{memory.CERTAIN * size / GIB:.2f} GiB is free on the cpu. Less is needed with" in first
    changes = [line.strip().rpartition(": ")[0] for line in advice]
    assert changes == [
        "training.per_device_train_batch_size: 4 and training.gradient_accumulation_steps: 2 (the same results)",
        "training.per_device_train_batch_size: 1 and training.gradient_accumulation_steps: 8 (the same results)",
        "training.gradient_checkpointing: true (the same results, slower)",
        "training.dtype: bfloat16",
        "training.optim: adafactor",
        "training.lora: {} (adapters instead of all weights)",
    ]
    assert all(float(line.rpartition(": ")[2].removesuffix(" GiB")) < size / GIB + 0.005 for line in advice)


def test_advice_is_only_what_helps(problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 0)
    with pytest.raises(TrainingError) as caught:
        train(problem, tmp_path, batch=1, accumulation=8, gradient_checkpointing=True, dtype="bfloat16", optim="sgd")
    assert [line.strip().rpartition(": ")[0] for line in str(caught.value).splitlines()[1:]] == [
        "training.lora: {} (adapters instead of all weights)"
    ]


def test_what_may_not_fit_is_trained_with_a_notice(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = needed(problem, Training(per_device_train_batch_size=8, gradient_accumulation_steps=1))
    with_free(monkeypatch, memory.CERTAIN * size + 1)
    with pytest.warns(Notice, match=r"training needs about .* it may not fit"):
        trained = train(problem, tmp_path)
    assert len(trained.log) == problem.steps


def test_ranks_share_the_step_and_the_machines_memory(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Training(per_device_train_batch_size=8, gradient_accumulation_steps=1)

    def check() -> None:
        check_memory(tiny_model(0), problem.dataset.sequences(), settings, ScorePass(True, True))

    size = needed(problem, settings.model_copy(update={"per_device_train_batch_size": 4}))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with_free(monkeypatch, 2 * size)
    check()
    with_free(monkeypatch, 2 * memory.CERTAIN * size - 2)
    with pytest.raises(TrainingError, match="Less is needed with"):
        check()
