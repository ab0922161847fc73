"""Recipes of the supervised stage, and addresses that what was added later leaves alone."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from epa_bench.config.lora import Lora
from epa_bench.config.schema import EmbeddedData
from epa_bench.config.supervised import CheckpointSft, Poft, Recipe, Sft, SupervisedData, with_recipe


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
    # The rows of a file are another cell's.
    assert Sft(data=SupervisedData(path="x")).recipe() == plain


def test_a_checkpoint_needs_a_learning_rate_of_its_own() -> None:
    with pytest.raises(ValidationError, match=r"2e-5 with sft .* 1e-6 with poft"):
        CheckpointSft.model_validate({"objective": "poft"})
    settings = CheckpointSft(learning_rate=2e-5)
    assert (settings.lr_scheduler_type, settings.warmup_ratio, settings.dtype) == ("cosine", 0.1, "float32")


def test_how_often_it_is_saved_and_what_is_not_read_decide_no_weights() -> None:
    plain = CheckpointSft(learning_rate=2e-5)
    assert plain.recipe() == CheckpointSft(learning_rate=2e-5, save_steps=3, poft=Poft(gamma=1.0)).recipe()
    assert not {"save_steps", "data", "objective", "poft", "keep"} & plain.recipe().keys()
    with_poft = with_recipe(plain, "filter+poft", 0.5)
    assert isinstance(with_poft, CheckpointSft)
    assert with_poft.recipe() == {
        **plain.recipe(),
        "objective": "poft",
        "poft": Poft().model_dump(mode="json"),
        "keep": 0.5,
    }
    assert CheckpointSft.model_validate(with_poft.recipe()) == with_poft
    adapted = CheckpointSft(learning_rate=2e-5, lora=Lora()).recipe()
    assert adapted == {**plain.recipe(), "lora": Lora().recipe()}


def test_data_without_noise_have_the_recipe_they_always_had() -> None:
    data = EmbeddedData(kind="embedded")
    assert not {"swapped", "swapped_preferences"} & set(data.recipe())
    noisy = EmbeddedData(kind="embedded", swapped=0.25, swapped_preferences=0.5)
    assert noisy.recipe() == {**data.recipe(), "swapped": 0.25, "swapped_preferences": 0.5}
    # The reference does not depend on noise in preferences that are sampled from it.
    assert noisy.corpus_recipe() == {**data.recipe(), "swapped": 0.25}
