"""Acquisition models: a classifier and a pair policy against autograd and finite differences."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from epa_bench.acquisition.acquire import acquire
from epa_bench.acquisition.model import Array, VapSettings
from epa_bench.acquisition.pairs import PairPolicy
from epa_bench.acquisition.text import TextClassifier
from epa_bench.core.errors import ConfigError
from epa_bench.data.pool import PairRow, TextRow
from epa_bench.data.topics import CLASSES, topic_texts
from epa_bench.models.classifier import new_encoder, new_tokenizer
from epa_bench.models.packing import pack_sequences
from epa_bench.models.self_check import PLAIN
from epa_bench.models.states import kept, layer_module, shifted
from tests.tiny import plain_logp, tiny_model, tiny_preferences, tiny_renderer

TEXTS = topic_texts(40, seed=0)


@cache
def classifier(classes: int = 4) -> TextClassifier:
    tokenizer = new_tokenizer([row.text for row in TEXTS], vocab_size=400, max_length=64)
    model = new_encoder(tokenizer, CLASSES[:classes], seed=0, device="cpu")
    # As wide as a trained head's, so that classes differ.
    with torch.no_grad():
        layer_module(model, "head").weight.mul_(5)  # type: ignore[operator]
    return TextClassifier(model, tokenizer, max_length=64, batch_size=16)


@cache
def policy() -> PairPolicy:
    return PairPolicy(tiny_model(1), tiny_model(0), cache(tiny_renderer().encode), beta=0.3, batch_tokens=512)


PAIRS = [PairRow(str(p.prompt), (p.chosen.text, p.rejected[0].text)) for p in tiny_preferences(24)]


def rank(vectors_ND: Array) -> int:
    """Directions with more than a thousandth of the longest one."""
    values = np.linalg.svd(vectors_ND.astype(np.float64), compute_uv=False)
    return int((values > 1e-3 * values[0]).sum())


def test_badge_is_the_gradient_of_the_last_layer_for_the_most_probable_class() -> None:
    asked = classifier()
    head: Any = layer_module(asked.model, "head")
    found = asked.gradients(TEXTS[:6])
    for row, vector in zip(TEXTS[:6], found, strict=True):
        logits_1C = asked.model(**asked.tokenizer(row.text, return_tensors="pt")).logits
        loss = torch.nn.functional.cross_entropy(logits_1C, logits_1C.argmax(dim=-1))
        (gradient_CD,) = torch.autograd.grad(loss, head.weight)
        assert vector == pytest.approx(gradient_CD.flatten().numpy(), abs=2e-5)


def test_batches_decide_nothing() -> None:
    asked = classifier()
    alone = TextClassifier(asked.model, asked.tokenizer, 64, batch_size=1)
    assert asked.probabilities(TEXTS) == pytest.approx(alone.probabilities(TEXTS), abs=1e-5)
    together, one_by_one = (each.perturbations(TEXTS[:20], VapSettings(), 0) for each in (asked, alone))
    assert together == pytest.approx(one_by_one, abs=1e-3 * float(np.abs(together).max()))


@pytest.mark.parametrize("classes", [2, 4])
def test_at_the_last_linear_input_perturbations_span_a_dimension_fewer_than_classes(classes: int) -> None:
    """For two classes every one is a multiple of w1 - w0: so an intermediate layer is the default."""
    asked = classifier(classes)
    at_head = asked.perturbations(TEXTS, VapSettings(layer="head"), 0)
    assert rank(at_head) == classes - 1
    assert rank(asked.perturbations(TEXTS, VapSettings(), 0)) > classes - 1
    if classes == 2:
        weight_CD: Tensor = layer_module(asked.model, "head").weight.detach()  # type: ignore[operator]
        difference_D = (weight_CD[1] - weight_CD[0]).numpy()
        cosines = at_head @ difference_D / np.linalg.norm(at_head, axis=1) / np.linalg.norm(difference_D)
        assert np.abs(cosines) == pytest.approx(1, abs=1e-3)


def test_equal_texts_have_equal_perturbations_and_all_are_finite() -> None:
    found = classifier().perturbations([TEXTS[0], *TEXTS, TEXTS[0]], VapSettings(layer=0), 4)
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(found[1], abs=1e-3 * float(np.abs(found).max()))
    assert found[0] == pytest.approx(found[-1], abs=1e-3 * float(np.abs(found).max()))


def test_another_seed_is_another_start() -> None:
    first, second = (classifier().perturbations(TEXTS[:2], VapSettings(), seed) for seed in (0, 1))
    assert not np.allclose(first, second, rtol=0.05)


def test_a_layer_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="expected a layer from 0 to 1, `middle` or `head`, got 2"):
        classifier().perturbations(TEXTS[:2], VapSettings(layer=2), 0)


def test_layers_are_numbered_as_transformers_numbers_hidden_states() -> None:
    model = tiny_model(0)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states
        for layer, expected in ((0, states[0]), ("middle", states[1]), ("head", states[-1])):
            with kept(layer_module(model, layer)) as found:
                model(ids)
            torch.testing.assert_close(found[0], expected)


def test_a_pairs_probability_is_that_of_its_implicit_rewards() -> None:
    asked, row = policy(), PAIRS[0]
    with torch.no_grad():
        s_a, s_b = (
            asked.beta * (plain_logp(asked.policy, each) - plain_logp(asked.reference, each))
            for each in (asked.encode(row.prompt, text) for text in row.responses)
        )
    expected = torch.sigmoid(s_a - s_b).item()
    assert asked.probabilities(PAIRS)[0].tolist() == pytest.approx([expected, 1 - expected], abs=1e-5)


def test_a_pairs_perturbation_is_parallel_to_the_margins_gradient() -> None:
    """Along it the margin changes as fast as its gradient is long, by a central difference; across it hardly at all."""
    asked, row = policy(), PAIRS[0]
    (unit_D,) = asked.perturbations([row], VapSettings(unit=True), 0)
    module = layer_module(asked.policy, "middle")
    batch = pack_sequences([asked.encode(row.prompt, text) for text in row.responses])

    @torch.no_grad()
    def margin(shift_D: Array) -> float:
        with shifted(module, torch.from_numpy(np.stack([shift_D, shift_D]))):
            a, b = PLAIN(asked.policy, batch).logps_N.tolist()
        return asked.beta * float(a - b)

    def slope(direction_D: Array) -> float:
        return (margin(0.05 * direction_D) - margin(-0.05 * direction_D)) / 0.1

    across_D = np.random.default_rng(0).normal(size=unit_D.shape).astype(np.float32)
    across_D -= (across_D @ unit_D) * unit_D
    across_D /= np.linalg.norm(across_D)
    assert abs(slope(across_D)) < 0.1 * abs(slope(unit_D))
    (raw_D,) = asked.perturbations([row], VapSettings(), 0)
    p = asked.probabilities([row])[0, 0]
    assert np.linalg.norm(raw_D) == pytest.approx(p * (1 - p) * slope(unit_D) ** 2, rel=0.1)


@pytest.mark.parametrize("representation", ["entropy", "features", "badge", "vap"])
def test_pairs_are_chosen_without_a_look_at_which_is_better(representation: str) -> None:
    swapped = [PairRow(row.prompt, (row.responses[1], row.responses[0])) for row in PAIRS]
    found = acquire(PAIRS, policy(), (), 5, 0, representation=representation)
    assert acquire(swapped, policy(), (), 5, 0, representation=representation) == found
    assert all(np.isfinite(row.score) for row in found.chosen)


def test_texts_of_one_word_and_of_many_go_together() -> None:
    rows = [TextRow("ba"), TextRow("ba " * 300), *TEXTS[:3]]
    assert classifier().perturbations(rows, VapSettings(), 0).shape == (5, 64)
