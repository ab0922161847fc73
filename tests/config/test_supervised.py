"""Recipes of the supervised stage, and addresses that what was added later leaves alone."""

from typing import Any, get_args

import pytest

from epa_bench.config.schema import EmbeddedData
from epa_bench.config.supervised import Poft, Recipe, Sft, with_recipe


@pytest.mark.parametrize(
    ("recipe", "objective", "scores", "keep"),
    [
        ("sft", "sft", "own", 1.0),
        ("poft", "poft", "own", 1.0),
        ("poft-shuffled", "poft", "shuffled", 1.0),
        ("filter+sft", "sft", "own", 0.3),
        ("filter+poft", "poft", "own", 0.3),
    ],
)
def test_recipes(recipe: Recipe, objective: str, scores: str, keep: float) -> None:
    sft = with_recipe(Sft(poft=Poft(beta=2.0)), recipe, 0.3)
    assert (sft.objective, sft.poft.scores, sft.keep, sft.poft.beta) == (objective, scores, keep, 2.0)
    assert sft.needs_scores == (recipe != "sft")


def test_no_two_recipes_are_the_same() -> None:
    recipes = [str(with_recipe(Sft(), recipe, 0.5).recipe()) for recipe in get_args(Recipe)]
    assert len(set(recipes)) == len(recipes) == 5


def test_plain_sft_has_the_recipe_it_always_had() -> None:
    """PoFT's settings say nothing of a training that does not read them."""
    plain: dict[str, Any] = {
        "num_train_epochs": 1,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "warmup_ratio": 0.1,
        "weight_decay": 0.01,
        "seed": 0,
    }
    assert Sft().recipe() == Sft(poft=Poft(gamma=1.0)).recipe() == plain
    assert Sft(keep=0.5).recipe() == {**plain, "keep": 0.5}


def test_data_without_noise_have_the_recipe_they_always_had() -> None:
    data = EmbeddedData(kind="embedded")
    assert not {"swapped", "swapped_preferences"} & set(data.recipe())
    noisy = EmbeddedData(kind="embedded", swapped=0.25, swapped_preferences=0.5)
    assert noisy.recipe() == {**data.recipe(), "swapped": 0.25, "swapped_preferences": 0.5}
    # The reference does not depend on noise in preferences that are sampled from it.
    assert noisy.corpus_recipe() == {**data.recipe(), "swapped": 0.25}
